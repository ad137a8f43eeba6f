//! An error as a page.

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use hyper::StatusCode;
use s3s::{Body, HttpResponse};

/// An error of a site.
#[derive(Debug, Default)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
    /// More to tell, by name.
    pub(super) details: Vec<(String, String)>,
}

impl Problem {
    /// The page, with the ids of the request.
    pub(super) fn page(&self, request: &str, host: &str) -> HttpResponse {
        let status = format!("{} {}", self.status.as_u16(), self.status.canonical_reason().unwrap_or_default());
        let mut html = format!("<html>\n<head><title>{status}</title></head>\n<body>\n<h1>{status}</h1>\n<ul>\n");
        let details = self.details.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let ids = [("RequestId", request), ("HostId", host)];
        for (name, value) in
            [("Code", self.code.as_str()), ("Message", &self.message)].into_iter().chain(details).chain(ids)
        {
            html.push_str(&format!("<li>{}: {}</li>\n", escape(name), escape(value)));
        }
        html.push_str("</ul>\n<hr/>\n</body>\n</html>\n");
        let mut answer = HttpResponse::new(Body::from(html));
        *answer.status_mut() = self.status;
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                answer.headers_mut().insert(name, value);
            }
        };
        set("x-amz-error-code", &self.code);
        set("x-amz-error-message", &self.message);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        answer
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_request_becomes_markup() {
        let problem = Problem {
            status: StatusCode::NOT_FOUND,
            code: "NoSuchKey".to_owned(),
            message: "no <b>\"it's\"</b>".to_owned(),
            details: vec![("Key".to_owned(), "<script>".to_owned())],
        };
        let answer = problem.page("R", "H");
        assert_eq!(answer.headers()["x-amz-error-code"], "NoSuchKey");
        let html = String::from_utf8(answer.body().bytes().unwrap().to_vec()).unwrap();
        assert!(html.contains("<h1>404 Not Found</h1>") && html.contains("<li>RequestId: R</li>"), "{html}");
        assert!(html.contains("<li>Message: no &lt;b&gt;&#34;it&#39;s&#34;&lt;/b&gt;</li>"), "{html}");
        assert!(!html.contains("<script>"));
    }
}
