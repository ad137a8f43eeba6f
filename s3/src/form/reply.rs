//! The answer to a form, from that to the PutObject that it means.

use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use hyper::{StatusCode, Uri};
use s3s::{Body, HttpResponse};

use super::fields::Fields;
use crate::address::Address;
use crate::convert::key::url_encode;
use crate::respond::push_element;

/// How a form wants to be answered.
pub(crate) struct Reply {
    bucket: String,
    key: String,
    location: String,
    redirect: Option<String>,
    status: StatusCode,
}

impl Reply {
    pub(super) fn new(fields: &Fields, address: &Address, key: &str, host: Option<&HeaderValue>, https: bool) -> Self {
        let scheme = if https { "https" } else { "http" };
        let host = host.and_then(|h| h.to_str().ok()).unwrap_or_default();
        let shown = url_encode(key.as_bytes());
        let location = match address.in_host {
            true => format!("{scheme}://{host}/{shown}"),
            false => format!("{scheme}://{host}/{}/{shown}", address.bucket),
        };
        let absolute = |url: &&str| url.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some());
        let redirect = fields.get("success_action_redirect").or(fields.get("redirect")).filter(absolute);
        let status = match fields.get("success_action_status") {
            Some("200") => StatusCode::OK,
            Some("201") => StatusCode::CREATED,
            _ => StatusCode::NO_CONTENT,
        };
        Self {
            bucket: address.bucket.clone(),
            key: key.to_owned(),
            location,
            redirect: redirect.map(str::to_owned),
            status,
        }
    }

    /// Makes the form's answer of the PutObject's. Errors stay as they are.
    pub(crate) fn apply(&self, mut answer: HttpResponse) -> HttpResponse {
        if !answer.status().is_success() {
            return answer;
        }
        let etag = answer.headers().get(ETAG).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        *answer.status_mut() = if self.redirect.is_some() { StatusCode::SEE_OTHER } else { self.status };
        let location = self.redirect.as_deref().map_or_else(|| self.location.clone(), |url| self.after(url, &etag));
        if let Ok(location) = HeaderValue::try_from(location) {
            answer.headers_mut().insert(LOCATION, location);
        }
        answer.headers_mut().remove(CONTENT_LENGTH);
        *answer.body_mut() = Body::empty();
        if self.redirect.is_none() && self.status == StatusCode::CREATED {
            *answer.body_mut() = Body::from(self.document(&etag));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        }
        answer
    }

    /// The page to go on to, with what was made in its query.
    fn after(&self, url: &str, etag: &str) -> String {
        let encode = |text: &str| url_encode(text.as_bytes()).replace('/', "%2F");
        let (url, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
        let joint = if url.contains('?') { '&' } else { '?' };
        let fragment = fragment.map(|f| format!("#{f}")).unwrap_or_default();
        format!("{url}{joint}bucket={}&key={}&etag={}{fragment}", self.bucket, encode(&self.key), encode(etag))
    }

    fn document(&self, etag: &str) -> String {
        let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
                       <PostResponse xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            .to_owned();
        for (name, value) in
            [("Location", self.location.as_str()), ("Bucket", &self.bucket), ("Key", &self.key), ("ETag", etag)]
        {
            push_element(&mut xml, name, value);
        }
        xml.push_str("</PostResponse>");
        xml
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fields: &[(&str, &str)]) -> HttpResponse {
        let address = Address { bucket: "bkt".to_owned(), key: String::new(), in_host: false, path: "/bkt".to_owned() };
        let host = HeaderValue::from_static("host:9000");
        let mut put = HttpResponse::default();
        put.headers_mut().insert(ETAG, HeaderValue::from_static("\"abc\""));
        Reply::new(&Fields::of(fields), &address, "a b&c", Some(&host), false).apply(put)
    }

    #[test]
    fn as_the_form_asks() {
        let plain = reply(&[]);
        assert_eq!(
            (plain.status(), &plain.headers()[LOCATION]),
            (StatusCode::NO_CONTENT, &HeaderValue::from_static("http://host:9000/bkt/a%20b%26c"))
        );
        assert_eq!(reply(&[("success_action_status", "200")]).status(), StatusCode::OK);
        assert_eq!(reply(&[("success_action_status", "500")]).status(), StatusCode::NO_CONTENT);
        let made = reply(&[("success_action_status", "201")]);
        assert_eq!(made.status(), StatusCode::CREATED);
        let xml = String::from_utf8(made.body().bytes().unwrap().to_vec()).unwrap();
        assert!(xml.contains("<Bucket>bkt</Bucket><Key>a b&amp;c</Key><ETag>&quot;abc&quot;</ETag>"), "{xml}");
    }

    #[test]
    fn redirects_say_what_was_made() {
        let to = |url: &str| {
            let answer = reply(&[("success_action_redirect", url)]);
            (answer.status().as_u16(), answer.headers()[LOCATION].to_str().unwrap().to_owned())
        };
        let query = "bucket=bkt&key=a%20b%26c&etag=%22abc%22";
        assert_eq!(to("http://x/y"), (303, format!("http://x/y?{query}")));
        assert_eq!(to("http://x/y?z=1"), (303, format!("http://x/y?z=1&{query}")));
        assert_eq!(to("not a url").0, 204);
        assert_eq!(to("/relative").0, 204);
    }

    #[test]
    fn errors_stay() {
        let address = Address { bucket: "b".to_owned(), key: String::new(), in_host: true, path: "/".to_owned() };
        let mut failed = HttpResponse::default();
        *failed.status_mut() = StatusCode::FORBIDDEN;
        let reply = Reply::new(&Fields::of(&[("redirect", "http://x")]), &address, "k", None, true);
        assert_eq!(reply.apply(failed).status(), StatusCode::FORBIDDEN);
    }
}
