//! Virtual-host style addressing: `BUCKET.DOMAIN` for the configured base domains; any other host is path style.
//! (s3s's own parsers take every unknown host for a bucket's name, so that `http://localhost:9000/bucket` would fail.)

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The configured base domains, lower case, longest first.
pub(crate) struct Domains(Vec<String>);

impl Domains {
    /// `None` if there are none: then everything is path style.
    pub(crate) fn new(domains: &[String]) -> Option<Self> {
        let mut all: Vec<String> = domains.iter().map(|d| d.trim_matches('.').to_ascii_lowercase()).collect();
        all.retain(|d| !d.is_empty());
        all.sort_by_key(|d| std::cmp::Reverse(d.len()));
        (!all.is_empty()).then_some(Self(all))
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let lower = host.to_ascii_lowercase();
        let name = match lower.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => lower.as_str(),
        };
        for domain in &self.0 {
            if name == domain {
                return Ok(VirtualHost::new(domain.as_str()));
            }
            if let Some(bucket) = name.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.'))
                && !bucket.is_empty()
            {
                return Ok(VirtualHost::new(domain.as_str()).with_bucket(bucket.to_owned()));
            }
        }
        Ok(VirtualHost::new(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(host: &str) -> Option<String> {
        let domains = Domains::new(&["S3.example.com".to_owned(), "example.com".to_owned()]).unwrap();
        domains.parse_host_header(host).unwrap().bucket().map(str::to_owned)
    }

    #[test]
    fn only_names_below_a_base_domain_are_buckets() {
        assert_eq!(bucket("pics.s3.example.com").as_deref(), Some("pics"));
        assert_eq!(bucket("PICS.s3.example.com:9000").as_deref(), Some("pics"));
        assert_eq!(bucket("a.b.s3.example.com").as_deref(), Some("a.b"));
        assert_eq!(bucket("pics.example.com").as_deref(), Some("pics"));
        assert_eq!(bucket("s3.example.com"), None);
        assert_eq!(bucket("localhost:9000"), None);
        assert_eq!(bucket("evils3.example.org"), None);
        assert!(Domains::new(&[]).is_none());
    }
}
