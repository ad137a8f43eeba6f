//! GetObjectAttributes.

use http::HeaderMap;
use pinfold_store::meta::rows::PartInfo;
use pinfold_store::namespace::check_customer;
use pinfold_store::namespace::s3_types::ObjectInfo;
use s3s::dto::{
    Checksum, ETag, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts, ObjectPart,
};
use s3s::{S3Request, S3Response, S3Result};

use super::with_headers;
use crate::access;
use crate::checksum::{set_checksum, type_name};
use crate::convert::{key, output, sse, time, version};
use crate::error::{OrS3, bad_argument, invalid_request};
use crate::service::Service;

/// Which attributes are asked for.
#[derive(Default, Debug, PartialEq, Eq)]
struct Asked {
    etag: bool,
    checksum: bool,
    parts: bool,
    class: bool,
    size: bool,
}

/// Reads `x-amz-object-attributes`, one header or several, with or without commas.
fn asked<'a>(values: impl Iterator<Item = &'a str>) -> S3Result<Asked> {
    let mut asked = Asked::default();
    for name in values.flat_map(|v| v.split(',')).map(str::trim).filter(|n| !n.is_empty()) {
        match name {
            "ETag" => asked.etag = true,
            "Checksum" => asked.checksum = true,
            "ObjectParts" => asked.parts = true,
            "StorageClass" => asked.class = true,
            "ObjectSize" => asked.size = true,
            _ => return Err(bad_argument("x-amz-object-attributes", name, "Invalid attribute name specified.")),
        }
    }
    if asked == Asked::default() {
        return Err(invalid_request(
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
        ));
    }
    Ok(asked)
}

/// GetObjectAttributes.
pub(crate) async fn get(
    service: &Service,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let access = access::of(&request)?;
    let customer = sse::customer(&request.headers)?;
    let input = request.input;
    let version = version::parse(input.version_id.as_deref())?;
    key::check(&input.key)?;
    let asked = asked(input.object_attributes.iter().map(|a| a.as_str()))?;
    let max = key::limit("max-parts", input.max_parts)?;
    let marker = input.part_number_marker.unwrap_or(0);
    let info =
        service.namespace.head_version(&access.caller(), &input.bucket, input.key.as_bytes(), version).await.or_s3()?;
    check_customer(info.seal.as_deref(), customer.as_ref()).or_s3()?;
    let checksum = info.meta.checksum.as_ref().filter(|_| asked.checksum).map(|stored| {
        let mut shown =
            Checksum { checksum_type: Some(type_name(stored.kind).to_owned().into()), ..Checksum::default() };
        set_checksum!(shown, &Some(stored));
        shown
    });
    let class = info.meta.headers.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned());
    let answer = GetObjectAttributesOutput {
        checksum,
        e_tag: asked.etag.then(|| ETag::Strong(info.meta.etag.0.clone())),
        last_modified: Some(time::to_s3(info.meta.last_modified)),
        object_parts: (asked.parts && !info.meta.parts.is_empty()).then(|| parts(&info, marker, max)),
        object_size: i64::try_from(info.size).ok().filter(|_| asked.size),
        storage_class: asked.class.then(|| class.into()),
        ..GetObjectAttributesOutput::default()
    };
    let mut map: HeaderMap = output::cid(&info);
    output::set(&mut map, "last-modified", time::http_date(info.meta.last_modified).as_deref());
    version::set(&mut map, access.bucket()?, info.meta.version);
    Ok(with_headers(answer, map))
}

fn parts(info: &ObjectInfo, marker: i32, max: usize) -> GetObjectAttributesParts {
    let after = |p: &&PartInfo| i64::from(p.number) > i64::from(marker);
    let left: Vec<&PartInfo> = info.meta.parts.iter().filter(after).collect();
    let shown = &left[..left.len().min(max)];
    let truncated = shown.len() < left.len();
    GetObjectAttributesParts {
        is_truncated: Some(truncated),
        max_parts: Some(max as i32),
        next_part_number_marker: Some(shown.last().map_or(marker, |p| p.number as i32)),
        part_number_marker: Some(marker),
        total_parts_count: Some(info.meta.parts.len() as i32),
        parts: Some(shown.iter().map(|p| part(info, p)).collect()),
    }
}

fn part(info: &ObjectInfo, stored: &PartInfo) -> ObjectPart {
    let mut shown = ObjectPart {
        part_number: Some(stored.number as i32),
        size: i64::try_from(stored.size).ok(),
        ..ObjectPart::default()
    };
    set_checksum!(shown, output::part_checksum(info, stored));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_form() {
        let got = asked(["ETag, ObjectSize", "Checksum"].into_iter()).unwrap();
        assert_eq!(got, Asked { etag: true, size: true, checksum: true, ..Asked::default() });
        assert!(asked(["Colour"].into_iter()).is_err());
        assert!(asked([""].into_iter()).is_err());
    }
}
