//! One request to a site.

use std::future::Future;

use http::header::{HOST, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use pinfold_store::namespace::Namespace;
use s3s::dto::{RoutingRule, WebsiteConfiguration};
use s3s::{Body, HttpResponse, S3Error};

use super::DOCUMENT;
use super::config::{after, before, missing, replaced, said};
use super::page::Problem;
use crate::address;
use crate::convert::key::{percent_decode, url_encode};
use crate::cors::{self, Expose};
use crate::error::{OrS3, message};
use crate::ops::document;
use crate::respond;
use crate::route::mend;

/// Headers of a request that a read of an object heeds.
const READ: [&str; 6] = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range", "if-range"];

/// The domains below which buckets are sites.
pub(crate) struct Sites {
    domains: Vec<String>,
}

/// What a request's host names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// A bucket.
    Bucket(String),
    /// Something below this domain that is no bucket.
    Nothing(String),
}

impl Sites {
    /// `None` if there are none.
    pub(crate) fn new(domains: &[String]) -> Option<Self> {
        let mut all: Vec<String> = domains.iter().map(|d| d.trim_matches('.').to_ascii_lowercase()).collect();
        all.retain(|d| !d.is_empty());
        all.sort_by_key(|d| std::cmp::Reverse(d.len()));
        (!all.is_empty()).then_some(Self { domains: all })
    }

    /// The site of a request; `None` if its host is none of these domains nor below one. The domain itself is the
    /// bucket of its name.
    pub(crate) fn find(&self, head: &Parts) -> Option<Site> {
        let (name, _) = split_port(address::host(head)?);
        let name = name.to_ascii_lowercase();
        self.domains.iter().find_map(|domain| {
            let below = name.strip_suffix(domain.as_str())?;
            match below.strip_suffix('.') {
                _ if below.is_empty() => Some(Site::Bucket(domain.clone())),
                Some(bucket) if !bucket.is_empty() && !bucket.contains('.') => Some(Site::Bucket(bucket.to_owned())),
                Some(_) => Some(Site::Nothing(domain.clone())),
                None => None,
            }
        })
    }
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, Some(port)),
        _ => (host, None),
    }
}

/// A request to a site.
pub(crate) struct Visit<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) head: &'a Parts,
    /// `https` or `http`.
    pub(crate) scheme: &'static str,
    /// The request's id and the extended one.
    pub(crate) ids: (String, String),
}

impl Visit<'_> {
    /// Answers it. `read` reads an object as S3 would for anybody.
    pub(crate) async fn answer<F, R>(&self, site: Site, read: F) -> HttpResponse
    where
        F: Fn(Request<Body>) -> R,
        R: Future<Output = HttpResponse>,
    {
        match self.serve(site, read).await {
            Ok(answer) => answer,
            Err(problem) => problem.page(&self.ids.0, &self.ids.1),
        }
    }

    fn host(&self) -> &str {
        address::host(self.head).unwrap_or_default()
    }

    async fn serve<F, R>(&self, site: Site, read: F) -> Result<HttpResponse, Problem>
    where
        F: Fn(Request<Body>) -> R,
        R: Future<Output = HttpResponse>,
    {
        let bucket = match site {
            Site::Bucket(bucket) => bucket,
            Site::Nothing(domain) => return Ok(self.no_bucket(&domain)),
        };
        match self.head.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => {
                let headers = &self.head.headers;
                return cors::preflight(self.namespace, &bucket, "OBJECT", headers, Expose::Rule).map_err(problem);
            }
            _ => return Ok(self.not_allowed()),
        }
        let path = self.head.uri.path();
        let key = percent_decode(path.strip_prefix('/').unwrap_or(path), false).ok_or_else(|| Problem {
            status: StatusCode::BAD_REQUEST,
            code: "InvalidURI".to_owned(),
            message: message("InvalidURI").unwrap_or_default().to_owned(),
            details: Vec::new(),
        })?;
        let found = self.namespace.bucket(&bucket).or_s3().map_err(problem)?;
        let text = found.settings.documents.get(DOCUMENT).ok_or_else(|| problem(missing(&bucket)))?;
        let site: WebsiteConfiguration = document::read(text).map_err(problem)?;
        if let Some(all) = &site.redirect_all_requests_to {
            let scheme = all.protocol.as_ref().map(|p| p.as_str()).filter(|p| !p.is_empty()).unwrap_or(self.scheme);
            let location = self.location(scheme, &all.host_name, &key);
            return Ok(redirect(StatusCode::MOVED_PERMANENTLY, &location));
        }
        let rules = site.routing_rules.as_deref().unwrap_or_default();
        if let Some(rule) = before(rules, &key) {
            return Ok(self.by_rule(rule, &key));
        }
        let suffix = site.index_document.as_ref().map(|index| index.suffix.as_str()).unwrap_or_default();
        let object = if key.is_empty() || key.ends_with('/') { format!("{key}{suffix}") } else { key.clone() };
        let answer = self.object(&read, &bucket, &object, true).await;
        let status = answer.status();
        if status.is_server_error() {
            return Err(of_answer(&answer));
        }
        if !status.is_client_error() {
            return Ok(as_site(answer));
        }
        if let Some(rule) = after(rules, &key, status.as_u16()) {
            return Ok(self.by_rule(rule, &key));
        }
        let Some(error) = &site.error_document else { return Err(of_answer(&answer)) };
        let mut page = self.object(&read, &bucket, &error.key, false).await;
        if !page.status().is_success() {
            return Err(of_answer(&answer));
        }
        *page.status_mut() = status;
        Ok(page)
    }

    async fn object<F, R>(&self, read: &F, bucket: &str, key: &str, conditions: bool) -> HttpResponse
    where
        F: Fn(Request<Body>) -> R,
        R: Future<Output = HttpResponse>,
    {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.head.method.clone();
        *request.version_mut() = self.head.version;
        *request.uri_mut() =
            format!("/{bucket}/{}", url_encode(key.as_bytes())).parse().unwrap_or_else(|_| Uri::from_static("/"));
        // The bucket is in the path, whatever this request's own host.
        request.headers_mut().insert(HOST, HeaderValue::from_static("127.0.0.1"));
        if conditions {
            let read: HeaderMap = READ
                .iter()
                .filter_map(|name| Some((HeaderName::from_static(name), self.head.headers.get(*name)?.clone())))
                .collect();
            request.headers_mut().extend(read);
            mend(request.headers_mut());
        }
        read(request).await
    }

    fn no_bucket(&self, domain: &str) -> HttpResponse {
        let port = split_port(self.host()).1.map(|port| format!(":{port}")).unwrap_or_default();
        let problem = Problem {
            status: StatusCode::MOVED_PERMANENTLY,
            code: "WebsiteRedirect".to_owned(),
            message: "Request does not contain a bucket name.".to_owned(),
            details: Vec::new(),
        };
        let mut answer = problem.page(&self.ids.0, &self.ids.1);
        set_location(&mut answer, &format!("{}://{domain}{port}/", self.scheme));
        answer
    }

    fn not_allowed(&self) -> HttpResponse {
        let problem = Problem {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "MethodNotAllowed".to_owned(),
            message: message("MethodNotAllowed").unwrap_or_default().to_owned(),
            details: vec![
                ("Method".to_owned(), self.head.method.to_string()),
                ("ResourceType".to_owned(), "OBJECT".to_owned()),
            ],
        };
        let mut answer = problem.page(&self.ids.0, &self.ids.1);
        answer.headers_mut().insert("allow", HeaderValue::from_static("GET, HEAD, OPTIONS"));
        answer
    }

    fn by_rule(&self, rule: &RoutingRule, key: &str) -> HttpResponse {
        let to = &rule.redirect;
        let scheme = to.protocol.as_ref().map(|p| p.as_str()).filter(|p| !p.is_empty()).unwrap_or(self.scheme);
        let host = said(&to.host_name).unwrap_or_else(|| self.host());
        let code = said(&to.http_redirect_code).and_then(|code| code.parse::<u16>().ok());
        let status = code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::MOVED_PERMANENTLY);
        redirect(status, &self.location(scheme, host, &replaced(rule, key)))
    }

    fn location(&self, scheme: &str, host: &str, key: &str) -> String {
        let query = self.head.uri.query().map(|q| format!("?{q}")).unwrap_or_default();
        format!("{scheme}://{host}/{}{query}", url_encode(key.as_bytes()))
    }
}

fn set_location(answer: &mut HttpResponse, location: &str) {
    if let Ok(location) = HeaderValue::from_bytes(location.as_bytes()) {
        answer.headers_mut().insert(LOCATION, location);
    }
}

fn redirect(status: StatusCode, location: &str) -> HttpResponse {
    let mut answer = HttpResponse::new(Body::empty());
    *answer.status_mut() = status;
    set_location(&mut answer, location);
    answer
}

/// An object that was read: it may lead elsewhere itself.
fn as_site(answer: HttpResponse) -> HttpResponse {
    match answer.headers().get("x-amz-website-redirect-location").and_then(|v| v.to_str().ok()) {
        Some(location) => redirect(StatusCode::MOVED_PERMANENTLY, location),
        None => answer,
    }
}

fn problem(error: S3Error) -> Problem {
    of_answer(&respond::error(error))
}

/// What S3's answer says.
fn of_answer(answer: &HttpResponse) -> Problem {
    let xml = answer.body().bytes().and_then(|xml| String::from_utf8(xml.to_vec()).ok()).unwrap_or_default();
    let code = element(&xml, "Code").unwrap_or_else(|| "InternalError".to_owned());
    let said = element(&xml, "Message").filter(|_| code != "AccessDenied");
    let text = said.or_else(|| message(&code).map(str::to_owned)).unwrap_or_else(|| code.clone());
    let mut details = respond::details(answer.headers());
    // VersityGW's pages name no key. That of a refused preflight request says of what it is.
    details.retain(|(name, _)| matches!(name.as_str(), "Method" | "ResourceType" | "BucketName"));
    Problem { status: answer.status(), message: text, details, code }
}

fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&apos;", "'")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(host: &str) -> Option<Site> {
        let sites = Sites::new(&["Web.example.com".to_owned(), "example.com".to_owned()]).unwrap();
        sites.find(&Request::builder().uri("/").header(HOST, host).body(()).unwrap().into_parts().0)
    }

    #[test]
    fn hosts_are_buckets() {
        let bucket = |name: &str| Some(Site::Bucket(name.to_owned()));
        assert_eq!(site("pics.web.example.com"), bucket("pics"));
        assert_eq!(site("PICS.web.example.com:8080"), bucket("pics"));
        assert_eq!(site("web.example.com"), bucket("web.example.com"));
        assert_eq!(site("pics.example.com"), bucket("pics"));
        assert_eq!(site("a.b.web.example.com:1"), Some(Site::Nothing("web.example.com".to_owned())));
        assert_eq!(site("otherexample.com"), None);
        assert_eq!(site("127.0.0.1:9000"), None);
        assert!(Sites::new(&[]).is_none());
    }

    #[test]
    fn objects_lead_elsewhere() {
        let mut answer = HttpResponse::new(Body::from("old".to_owned()));
        assert_eq!(as_site(HttpResponse::default()).status(), StatusCode::OK);
        answer.headers_mut().insert("x-amz-website-redirect-location", HeaderValue::from_static("/new"));
        let to = as_site(answer);
        assert_eq!(
            (to.status(), &to.headers()[LOCATION]),
            (StatusCode::MOVED_PERMANENTLY, &HeaderValue::from_static("/new"))
        );
        assert!(to.body().bytes().unwrap().is_empty());
    }

    #[test]
    fn errors_are_read() {
        let error = crate::error::plain(s3s::S3ErrorCode::NoSuchKey);
        let found = of_answer(&respond::error(crate::error::with_detail(error, "Key", "k")));
        assert_eq!((found.status.as_u16(), found.code.as_str()), (404, "NoSuchKey"));
        assert_eq!(found.message, "The specified key does not exist.");
        assert_eq!(found.details, []);
    }
}
