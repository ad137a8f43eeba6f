//! Who sent a form: Signature Version 4 over its policy.

use ring::hmac;
use s3s::{S3Error, S3ErrorCode, S3Result};
use time::{Duration, OffsetDateTime};

use super::fields::Fields;
use super::policy;
use crate::auth::Credentials;
use crate::convert::time::parse_stamp;
use crate::error::{OrS3, bad_argument, plain, with_detail};

/// The fields of a signed form. One of them asks for all.
const SIGNED: [&str; 5] = ["policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];
/// How old a signature may be; the policy says how long the form is good for.
const MAX_AGE: Duration = Duration::hours(1);

/// AWS's error for a field that is not there.
pub(super) fn missing(field: &'static str) -> S3Error {
    let what = format!(
        "Bucket POST must contain a field named '{field}'.  If it is specified, please check the order of the fields."
    );
    bad_argument(field, "", what)
}

/// The access key that signed a form; `None` for a form without a signature.
pub(super) async fn verify(
    fields: &Fields,
    accounts: &dyn Credentials,
    region: &str,
    now: OffsetDateTime,
) -> S3Result<Option<String>> {
    if SIGNED.iter().all(|name| fields.get(name).is_none()) {
        return Ok(None);
    }
    let mut values = [""; 5];
    for (value, name) in values.iter_mut().zip(SIGNED) {
        *value = fields.get(name).ok_or_else(|| missing(name))?;
    }
    let [policy, algorithm, credential, date, signature] = values;
    if algorithm != "AWS4-HMAC-SHA256" {
        return Err(bad_argument("X-Amz-Algorithm", algorithm, "Only AWS4-HMAC-SHA256 is supported"));
    }
    let Some(stamp) = parse_stamp(date) else {
        return Err(bad_argument("X-Amz-Date", date, "X-Amz-Date must be formated via ISO8601 Long format"));
    };
    if now - stamp > MAX_AGE {
        return Err(policy::expired());
    }
    let (access, scope) = read_credential(credential, region)?;
    let Some(secret) = accounts.secret(access).await.or_s3()? else {
        return Err(with_detail(plain(S3ErrorCode::InvalidAccessKeyId), "AWSAccessKeyId", access));
    };
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    for part in scope.split('/') {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    if hmac::verify(&key, policy.as_bytes(), &hex::decode(signature).unwrap_or_default()).is_ok() {
        return Ok(Some(access.to_owned()));
    }
    let bytes: Vec<String> = policy.bytes().map(|b| format!("{b:02x}")).collect();
    let error = with_detail(plain(S3ErrorCode::SignatureDoesNotMatch), "AWSAccessKeyId", access);
    let error = with_detail(error, "StringToSign", policy);
    let error = with_detail(error, "SignatureProvided", signature);
    Err(with_detail(error, "StringToSignBytes", &bytes.join(" ")))
}

/// `ACCESS/YYYYMMDD/REGION/s3/aws4_request`: the access key and the rest.
fn read_credential<'a>(credential: &'a str, region: &str) -> S3Result<(&'a str, &'a str)> {
    let wrong = |what: String| Err(bad_argument("x-amz-credential", credential, what));
    let parts: Vec<&str> = credential.split('/').collect();
    let [access, date, of_region, service, terminal] = parts[..] else {
        return wrong(
            "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".".to_owned(),
        );
    };
    if date.len() != 8 || !date.bytes().all(|b| b.is_ascii_digit()) {
        return wrong(format!(
            "incorrect date format \"{date}\". This date in the credential must be in the format \"yyyyMMdd\"."
        ));
    }
    if service != "s3" {
        return wrong(format!("incorrect service \"{service}\". This endpoint belongs to \"s3\"."));
    }
    if terminal != "aws4_request" {
        return wrong(format!("incorrect terminal \"{terminal}\". This endpoint uses \"aws4_request\"."));
    }
    if of_region != region {
        return wrong(format!("the region \"{of_region}\" is wrong; expecting \"{region}\""));
    }
    Ok((access, &credential[access.len() + 1..]))
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::auth::example::{EXAMPLE, One};

    /// "POST upload example" of AWS's documentation.
    const POLICY: &str = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
    const SIGNATURE: &str = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";

    fn check(change: (&str, &str), at: &str) -> String {
        let credential = format!("{EXAMPLE}/20151229/us-east-1/s3/aws4_request");
        let mut pairs = vec![
            ("policy", POLICY),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", credential.as_str()),
            ("x-amz-date", "20151229T000000Z"),
            ("x-amz-signature", SIGNATURE),
        ];
        pairs.retain(|(name, _)| *name != change.0);
        if !change.1.is_empty() {
            pairs.push(change);
        }
        let fields = Fields::of(&pairs);
        let signer = block_on(verify(&fields, &One, "us-east-1", parse_stamp(at).unwrap()));
        signer.map_or_else(|e| e.code().as_str().to_owned(), Option::unwrap_or_default)
    }

    #[test]
    fn a_form_as_aws_documents_it() {
        assert_eq!(check(("", ""), "20151229T005959Z"), EXAMPLE);
        assert_eq!(check(("", ""), "20151229T010001Z"), "AccessDenied");
        let now = "20151229T000000Z";
        assert_eq!(check(("policy", &POLICY[4..]), now), "SignatureDoesNotMatch");
        assert_eq!(check(("x-amz-signature", "zz"), now), "SignatureDoesNotMatch");
        let other = "nobody/20151229/us-east-1/s3/aws4_request";
        assert_eq!(check(("x-amz-credential", other), now), "InvalidAccessKeyId");
        for bad in ["x", "a/20151229/eu-west-1/s3/aws4_request", "a/2015/us-east-1/s3/aws4_request"] {
            assert_eq!(check(("x-amz-credential", bad), now), "InvalidArgument", "{bad}");
        }
        for name in SIGNED {
            assert_eq!(check((name, ""), now), "InvalidArgument", "without {name}");
        }
        let unsigned = Fields::of(&[("key", "k")]);
        let signer = block_on(verify(&unsigned, &One, "us-east-1", OffsetDateTime::now_utc()));
        assert_eq!(signer.unwrap(), None);
    }
}
