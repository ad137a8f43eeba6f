//! Notices in S3's form (AWS's event message, version 2.1), for whoever delivers them.

use pinfold_store::namespace::notices::{Event, Notice};
use serde_json::{Value, json};

use crate::convert::key::url_encode;
use crate::convert::{time, version};

/// The message that tells of one notice, as JSON. `host_id` is this host's in `x-amz-id-2`.
pub fn message(notice: &Notice, region: &str, host_id: &str) -> String {
    let request = notice.request.to_string().to_uppercase();
    if notice.event == Event::Test {
        let test = json!({
            "Service": "Amazon S3",
            "Event": notice.event.name(),
            "Time": time::iso_millis(notice.time),
            "Bucket": notice.bucket,
            "RequestId": request,
            "HostId": host_id,
        });
        return test.to_string();
    }
    let mut object = json!({
        // As in a form: a space is a plus sign.
        "key": url_encode(&notice.key).replace("%20", "+"),
        "sequencer": format!("{:016X}", notice.sequence),
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object[name] = value;
        }
    };
    set("size", notice.size.map(Value::from));
    set("eTag", notice.etag.clone().map(Value::from));
    set("versionId", notice.version.map(|id| version::show(id).into()));
    let record = json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": time::iso_millis(notice.time),
        "eventName": notice.event.name().trim_start_matches("s3:"),
        "userIdentity": { "principalId": notice.principal },
        // The store knows the door, not the address.
        "requestParameters": { "sourceIPAddress": "", "door": format!("{:?}", notice.door) },
        "responseElements": { "x-amz-request-id": request, "x-amz-id-2": host_id },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": notice.rule,
            "bucket": {
                "name": notice.bucket,
                "ownerIdentity": { "principalId": notice.owner },
                "arn": format!("arn:aws:s3:::{}", notice.bucket),
            },
            "object": object,
        },
    });
    json!({ "Records": [record] }).to_string()
}

#[cfg(test)]
mod tests {
    use pinfold_store::types::{Door, Id, Timestamp};

    use super::*;

    #[test]
    fn a_message_is_as_aws_has_it() {
        let notice = Notice {
            event: Event::Put,
            rule: "r".to_owned(),
            bucket: "bkt".to_owned(),
            owner: "alice".to_owned(),
            key: "a b/ü".as_bytes().to_vec(),
            size: Some(5),
            etag: Some("e".to_owned()),
            version: Some(Id::default()),
            principal: "bob".to_owned(),
            door: Door::S3,
            request: Id([0xab; 16]),
            time: Timestamp { secs: 784_111_777, nanos: 5_000_000 },
            sequence: 255,
        };
        let read: Value = serde_json::from_str(&message(&notice, "eu-1", "host")).unwrap();
        let record = &read["Records"][0];
        assert_eq!(record["eventName"], "ObjectCreated:Put");
        assert_eq!(record["eventTime"], "1994-11-06T08:49:37.005Z");
        assert_eq!(record["userIdentity"]["principalId"], "bob");
        let object = &record["s3"]["object"];
        let expected = json!({
            "key": "a+b/%C3%BC", "size": 5, "eTag": "e", "versionId": "null", "sequencer": "00000000000000FF"
        });
        assert_eq!(object, &expected);
        let test = message(&Notice { event: Event::Test, ..notice }, "eu-1", "host");
        let test: Value = serde_json::from_str(&test).unwrap();
        assert_eq!((&test["Event"], &test["Bucket"]), (&json!("s3:TestEvent"), &json!("bkt")));
    }
}
