//! A bucket's configuration: what is one, and which of its rules meets a request.

use s3s::dto::{Condition, Redirect, RoutingRule, WebsiteConfiguration};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::error::{bad_argument, invalid_request, plain, with_detail};
use crate::ops::document;

/// Most rules of a site.
const MAX_RULES: usize = 50;
/// Largest document, in bytes as it was sent.
const MAX_BYTES: u64 = 128 * 1024;

/// `404` of a bucket that is no site.
pub(crate) fn missing(bucket: &str) -> S3Error {
    let message = "The specified bucket does not have a website configuration";
    document::missing("NoSuchWebsiteConfiguration", message, bucket)
}

/// Refuses a configuration that S3 does not take; `sent` is its length.
pub(crate) fn check(site: &WebsiteConfiguration, sent: u64) -> S3Result<()> {
    let malformed = || plain(S3ErrorCode::MalformedXML);
    if sent > MAX_BYTES {
        let error = plain(S3ErrorCode::MaxMessageLengthExceeded);
        return Err(with_detail(error, "MaxMessageLengthBytes", &MAX_BYTES.to_string()));
    }
    let rules = site.routing_rules.as_deref().unwrap_or_default();
    if let Some(all) = &site.redirect_all_requests_to {
        let alone = site.index_document.is_none() && site.error_document.is_none() && rules.is_empty();
        if !alone || all.host_name.is_empty() {
            return Err(malformed());
        }
        return check_protocol(all.protocol.as_ref().map(|p| p.as_str()));
    }
    let suffix = site.index_document.as_ref().map(|index| index.suffix.as_str()).ok_or_else(malformed)?;
    if suffix.is_empty() || suffix.contains('/') {
        return Err(bad_argument("IndexDocument", suffix, "The IndexDocument Suffix is not well formed"));
    }
    if site.error_document.as_ref().is_some_and(|error| error.key.is_empty()) {
        return Err(bad_argument("ErrorDocument", "", "The ErrorDocument Key is not well formed"));
    }
    if rules.len() > MAX_RULES {
        return Err(invalid_request(format!(
            "{} routing rules provided, the number of routing rules in a website configuration is limited to {MAX_RULES}.",
            rules.len()
        )));
    }
    for rule in rules {
        check_redirect(&rule.redirect)?;
        rule.condition.as_ref().map_or(Ok(()), check_condition)?;
    }
    Ok(())
}

fn check_protocol(protocol: Option<&str>) -> S3Result<()> {
    match protocol {
        None | Some("" | "http" | "https") => Ok(()),
        Some(_) => Err(invalid_request(
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.",
        )),
    }
}

/// A text that says something.
pub(super) fn said(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn number(text: &str) -> S3Result<u16> {
    text.parse().map_err(|_| plain(S3ErrorCode::MalformedXML))
}

fn check_redirect(redirect: &Redirect) -> S3Result<()> {
    let protocol = redirect.protocol.as_ref().map(|p| p.as_str()).filter(|p| !p.is_empty());
    let (key, prefix) = (said(&redirect.replace_key_with), said(&redirect.replace_key_prefix_with));
    let code = said(&redirect.http_redirect_code);
    if said(&redirect.host_name).is_none() && protocol.is_none() && key.is_none() && prefix.is_none() && code.is_none()
    {
        return Err(plain(S3ErrorCode::MalformedXML));
    }
    if key.is_some() && prefix.is_some() {
        return Err(invalid_request("You can only define ReplaceKeyPrefix or ReplaceKey but not both."));
    }
    check_protocol(protocol)?;
    match code.map(number).transpose()? {
        None | Some(301..=305 | 307 | 308) => Ok(()),
        Some(code) => Err(invalid_request(format!(
            "The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300."
        ))),
    }
}

fn check_condition(condition: &Condition) -> S3Result<()> {
    let code = said(&condition.http_error_code_returned_equals);
    if code.is_none() && said(&condition.key_prefix_equals).is_none() {
        return Err(plain(S3ErrorCode::MalformedXML));
    }
    match code.map(number).transpose()? {
        None | Some(400..=417 | 500..=505) => Ok(()),
        Some(code) => Err(invalid_request(format!(
            "The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX."
        ))),
    }
}

fn prefix(rule: &RoutingRule) -> Option<&str> {
    said(&rule.condition.as_ref()?.key_prefix_equals)
}

fn error_code(rule: &RoutingRule) -> Option<&str> {
    said(&rule.condition.as_ref()?.http_error_code_returned_equals)
}

/// The rule that meets a key before anything is read: one of a prefix alone.
pub(super) fn before<'a>(rules: &'a [RoutingRule], key: &str) -> Option<&'a RoutingRule> {
    rules.iter().find(|r| error_code(r).is_none() && prefix(r).is_some_and(|prefix| key.starts_with(prefix)))
}

/// The rule that meets an error: one that names it, or one without a condition.
pub(super) fn after<'a>(rules: &'a [RoutingRule], key: &str, status: u16) -> Option<&'a RoutingRule> {
    rules.iter().find(|rule| match (prefix(rule), error_code(rule)) {
        (None, None) => true,
        (Some(_), None) => false,
        (prefix, Some(code)) => code == status.to_string() && prefix.is_none_or(|prefix| key.starts_with(prefix)),
    })
}

/// The key that a rule leads to.
pub(super) fn replaced(rule: &RoutingRule, key: &str) -> String {
    match (said(&rule.redirect.replace_key_with), said(&rule.redirect.replace_key_prefix_with), prefix(rule)) {
        (Some(whole), _, _) => whole.to_owned(),
        (None, Some(new), Some(old)) => format!("{new}{}", key.strip_prefix(old).unwrap_or(key)),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::document::read;

    fn site(inner: &str) -> WebsiteConfiguration {
        read(&format!("<WebsiteConfiguration>{inner}</WebsiteConfiguration>")).unwrap()
    }

    fn problem(inner: &str) -> String {
        check(&site(inner), 1).err().map_or("ok".to_owned(), |e| e.message().unwrap_or_default().to_owned())
    }

    const INDEX: &str = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>";

    fn rule(condition: &str, redirect: &str) -> String {
        let condition =
            if condition.is_empty() { String::new() } else { format!("<Condition>{condition}</Condition>") };
        format!("<RoutingRule>{condition}<Redirect>{redirect}</Redirect></RoutingRule>")
    }

    fn with(rules: &[String]) -> String {
        format!("{INDEX}<RoutingRules>{}</RoutingRules>", rules.concat())
    }

    #[test]
    fn what_is_a_site() {
        let all = "<RedirectAllRequestsTo><HostName>a</HostName></RedirectAllRequestsTo>";
        assert_eq!(problem(INDEX), "ok");
        assert_eq!(problem(all), "ok");
        let malformed = crate::error::message("MalformedXML").unwrap();
        assert_eq!(problem(""), malformed);
        assert_eq!(problem(&format!("{all}{INDEX}")), malformed);
        assert!(problem("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>").contains("Suffix"));
        assert!(problem(&format!("{INDEX}<ErrorDocument><Key></Key></ErrorDocument>")).contains("ErrorDocument"));
        assert!(
            problem(&all.replace("</HostName>", "</HostName><Protocol>ftp</Protocol>")).contains("Invalid protocol")
        );
        let host = "<HostName>h</HostName>";
        assert_eq!(problem(&with(&vec![rule("", host); 50])), "ok");
        assert!(problem(&with(&vec![rule("", host); 51])).starts_with("51 routing rules"));
        for (condition, redirect, says) in [
            ("", "", malformed),
            ("<KeyPrefixEquals></KeyPrefixEquals>", host, malformed),
            ("<HttpErrorCodeReturnedEquals>4xx</HttpErrorCodeReturnedEquals>", host, malformed),
            ("<HttpErrorCodeReturnedEquals>418</HttpErrorCodeReturnedEquals>", host, "error code (418)"),
            ("", "<HttpRedirectCode>306</HttpRedirectCode>", "redirect code (306)"),
            ("", "<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith>", "not both"),
        ] {
            assert!(problem(&with(&[rule(condition, redirect)])).contains(says), "{condition} {redirect}");
        }
        assert_eq!(check(&site(INDEX), MAX_BYTES + 1).unwrap_err().code(), &S3ErrorCode::MaxMessageLengthExceeded);
    }

    #[test]
    fn rules_meet_keys_and_errors() {
        let old = "<KeyPrefixEquals>old/</KeyPrefixEquals>";
        let gone = "<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>";
        let rules = site(&with(&[
            rule(&format!("{old}{gone}"), "<ReplaceKeyPrefixWith>gone/</ReplaceKeyPrefixWith>"),
            rule(old, "<ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith>"),
            rule(gone, "<ReplaceKeyWith>404.html</ReplaceKeyWith>"),
        ]));
        let rules = rules.routing_rules.unwrap();
        assert_eq!(before(&rules, "old/a").map(|r| replaced(r, "old/a")).as_deref(), Some("new/a"));
        assert!(before(&rules, "a").is_none());
        assert_eq!(after(&rules, "old/a", 404).map(|r| replaced(r, "old/a")).as_deref(), Some("gone/a"));
        assert_eq!(after(&rules, "a", 404).map(|r| replaced(r, "a")).as_deref(), Some("404.html"));
        assert!(after(&rules, "old/a", 403).is_none());
        let all = site(&with(&[rule("", "<HostName>h</HostName>")])).routing_rules.unwrap();
        assert!(before(&all, "a").is_none());
        assert_eq!(after(&all, "a", 403).map(|r| replaced(r, "a")).as_deref(), Some("a"));
    }
}
