//! The headers of server-side encryption: what a request asks for, in AWS's words where it is wrong, and what an answer shows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use md5::{Digest, Md5};
use pinfold_store::crypto::{CustomerKey, Secret};
use pinfold_store::meta::seal::SealKey;
use pinfold_store::namespace::Encrypt;
use pinfold_store::{Error, ErrorKind};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::output;
use crate::error::{bad_argument, from_store, invalid_request, plain};

const MANAGED: &str = "x-amz-server-side-encryption";
const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const KEY: &str = "x-amz-server-side-encryption-customer-key";
const KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
/// The one algorithm that S3 has.
const AES256: &str = "AES256";

/// How a PUT, a copy or a new upload is to be encrypted.
pub(crate) fn wanted(headers: &HeaderMap) -> S3Result<Encrypt> {
    let customer = customer(headers)?;
    let Some(managed) = headers.get(MANAGED).map(|value| value.to_str().unwrap_or_default()) else {
        return Ok(customer.map_or(Encrypt::AsBucket, Encrypt::Customer));
    };
    match managed {
        AES256 if customer.is_none() => Ok(Encrypt::Managed),
        AES256 => Err(bad_argument(
            MANAGED,
            managed,
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
        )),
        // There is no key management service here.
        "aws:kms" | "aws:kms:dsse" => Err(plain(S3ErrorCode::NotImplemented)),
        _ => Err(bad_argument(MANAGED, managed, "The encryption method specified is not supported")),
    }
}

/// The key that a client brings for the object itself.
pub(crate) fn customer(headers: &HeaderMap) -> S3Result<Option<CustomerKey>> {
    read(headers, [ALGORITHM, KEY, KEY_MD5])
}

/// The key that a client brings for a copy's source.
pub(crate) fn source_customer(headers: &HeaderMap) -> S3Result<Option<CustomerKey>> {
    read(
        headers,
        [
            "x-amz-copy-source-server-side-encryption-customer-algorithm",
            "x-amz-copy-source-server-side-encryption-customer-key",
            "x-amz-copy-source-server-side-encryption-customer-key-md5",
        ],
    )
}

/// A GET or HEAD says nothing of the node's own keys.
pub(crate) fn refuse_managed(headers: &HeaderMap) -> S3Result<()> {
    match headers.contains_key(MANAGED) {
        true => {
            Err(bad_argument(MANAGED, "", "x-amz-server-side-encryption header is not supported for this operation."))
        }
        false => Ok(()),
    }
}

fn read(headers: &HeaderMap, [algorithm, key, md5]: [&'static str; 3]) -> S3Result<Option<CustomerKey>> {
    let [said, sent, sum] = [algorithm, key, md5].map(|name| headers.get(name));
    if said.or(sent).or(sum).is_none() {
        return Ok(None);
    }
    let bad = |what: &'static str, why: &'static str| {
        let what =
            format!("Requests specifying Server Side Encryption with Customer provided keys must provide {what}.");
        Err(bad_argument(algorithm, why, what))
    };
    match said.map(|value| value.as_bytes()) {
        None => return bad("a valid encryption algorithm", "null"),
        Some(b"AES256") => {}
        Some(_) => return Err(plain(S3ErrorCode::InvalidEncryptionAlgorithmError)),
    }
    let Some(sent) = sent else { return bad("an appropriate secret key", "null") };
    let Some(sum) = sum else { return bad("the client calculated MD5 of the secret key", "null") };
    let decoded = zeroize::Zeroizing::new(STANDARD.decode(sent.as_bytes()).unwrap_or_default());
    let Ok(bytes) = <[u8; 32]>::try_from(decoded.as_slice()) else {
        return Err(bad_argument(algorithm, "", "The secret key was invalid for the specified algorithm."));
    };
    if STANDARD.decode(sum.as_bytes()).unwrap_or_default() != Md5::digest(&*decoded).as_slice() {
        let what = "The calculated MD5 hash of the key did not match the hash that was provided.";
        return Err(bad_argument(algorithm, "", what));
    }
    Ok(Some(CustomerKey::new(Secret::new(bytes))))
}

/// Says how an object is encrypted.
pub(crate) fn show(map: &mut HeaderMap, key: Option<&SealKey>, sent: &HeaderMap) {
    match key {
        None => {}
        Some(SealKey::Bucket { .. } | SealKey::Object { .. }) => output::set(map, MANAGED, Some(AES256)),
        Some(SealKey::Customer { .. }) => {
            output::set(map, ALGORITHM, Some(AES256));
            // It is a digest of a key: not kept, but whoever asks has just sent it.
            let sum = sent.get(KEY_MD5).and_then(|value: &HeaderValue| value.to_str().ok());
            output::set(map, "x-amz-server-side-encryption-customer-key-md5", sum);
        }
    }
}

/// What is wrong with the key of a part, in AWS's words.
pub(crate) fn of_part(error: Error) -> S3Error {
    match error.kind() {
        ErrorKind::KeyRequired => invalid_request(
            "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate \
             encryption parameters.",
        ),
        ErrorKind::KeyNotApplicable => invalid_request(
            "The multipart upload initiate did not request encryption. Please resend the request without sending \
             encryption parameters.",
        ),
        ErrorKind::PermissionDenied => {
            bad_argument(ALGORITHM, "", "The provided encryption parameters did not match the ones used originally.")
        }
        _ => from_store(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, String)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.to_lowercase().parse::<http::HeaderName>().unwrap(), v.parse().unwrap())).collect()
    }

    fn customers(key: &[u8]) -> Vec<(&'static str, String)> {
        vec![(ALGORITHM, AES256.into()), (KEY, STANDARD.encode(key)), (KEY_MD5, STANDARD.encode(Md5::digest(key)))]
    }

    fn refused(pairs: &[(&'static str, String)]) -> (String, String) {
        let error = wanted(&map(pairs)).unwrap_err();
        (error.code().as_str().to_owned(), error.message().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_a_request_asks_for_is_read_whole_or_refused() {
        assert!(matches!(wanted(&HeaderMap::new()).unwrap(), Encrypt::AsBucket));
        assert!(matches!(wanted(&map(&[(MANAGED, AES256.into())])).unwrap(), Encrypt::Managed));
        assert!(matches!(wanted(&map(&customers(&[7; 32]))).unwrap(), Encrypt::Customer(_)));
        let both = [customers(&[7; 32]), vec![(MANAGED, AES256.into())]].concat();
        assert_eq!(refused(&both).0, "InvalidArgument");
        assert_eq!(refused(&[(MANAGED, "aws:kms".into())]).0, "NotImplemented");
        assert_eq!(refused(&[(MANAGED, "rot13".into())]).1, "The encryption method specified is not supported");
        for (n, missing) in
            ["valid encryption algorithm", "appropriate secret key", "MD5 of the secret key"].iter().enumerate()
        {
            let mut sent = customers(&[7; 32]);
            sent.remove(n);
            let (code, message) = refused(&sent);
            assert!(code == "InvalidArgument" && message.contains(missing), "{message}");
        }
        assert!(refused(&customers(&[7; 31])).1.contains("invalid for the specified algorithm"));
        let mut other = customers(&[7; 32]);
        other[2].1 = STANDARD.encode([0; 16]);
        assert!(refused(&other).1.contains("did not match the hash"));
        let mut other = customers(&[7; 32]);
        other[0].1 = "AES128".into();
        assert_eq!(refused(&other).0, "InvalidEncryptionAlgorithmError");
    }
}
