//! Requests that are right, one of each kind: what mutations begin with.

use crate::support::{Payload, Req};

/// A request in parts that can be changed one by one.
#[derive(Clone, Debug)]
pub struct Case {
    pub method: &'static str,
    /// Decoded; the bucket and key.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Sent in signed chunks of this many bytes.
    pub chunks: Option<usize>,
}

/// Names that differ from run to run.
pub struct Names {
    pub upload: String,
    pub etag: String,
}

fn encode(text: &str, keep: &[u8]) -> String {
    let one = |b: u8| match b {
        b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) || keep.contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

impl Case {
    /// The request to be signed.
    pub fn request(&self) -> Req {
        let mut target = encode(&self.path, b"/");
        for (i, (name, value)) in self.query.iter().enumerate() {
            target.push(if i == 0 { '?' } else { '&' });
            target += &format!("{}={}", encode(name, b""), encode(value, b""));
        }
        let mut request = Req::new(self.method, &target).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match self.chunks {
            Some(size) => request.payload(Payload::Chunks(size, Vec::new())),
            None => request,
        }
    }
}

fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
    text.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// All of them.
pub fn cases(names: &Names) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |method, path: &str, query: &[(&str, &str)], headers: &[(&str, &str)], body: &str| {
        all.push(Case {
            method,
            path: path.to_owned(),
            query: pairs(query),
            headers: pairs(headers),
            body: body.as_bytes().to_vec(),
            chunks: None,
        });
    };
    let upload = names.upload.as_str();
    let part = format!("<Part><PartNumber>1</PartNumber><ETag>\"{}\"</ETag></Part>", names.etag);
    let complete = format!(
        "<?xml version=\"1.0\"?><CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{part}</CompleteMultipartUpload>"
    );
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b &amp; c</Value></Tag><Tag><Key>d</Key><Value/></Tag></TagSet></Tagging>";
    let keys = "<Delete><Quiet>true</Quiet><Object><Key>k</Key><VersionId>null</VersionId></Object><Object><Key>a&lt;b</Key></Object></Delete>";
    let location =
        "<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>";
    let acl = "<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList><Grant><Grantee><ID>x</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>";

    // XML bodies.
    add("POST", "/fuzz", &[("delete", "")], &[("x-amz-checksum-crc32", "AAAAAA==")], keys);
    add("PUT", "/fuzz", &[], &[], location);
    add("PUT", "/fuzz", &[("tagging", "")], &[], tags);
    add("PUT", "/fuzz", &[("acl", "")], &[], acl);
    add("PUT", "/fuzz/k", &[("tagging", "")], &[], tags);
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["s3:Get*"],
        "Resource":"arn:aws:s3:::fuzz/*","Condition":{"StringLike":{"aws:UserAgent":["a*","${aws:username}"]}}}]}"#;
    add("PUT", "/fuzz", &[("policy", "")], &[], policy);
    let xsi = "http://www.w3.org/2001/XMLSchema-instance";
    let granted = format!(
        "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi=\"{xsi}\" \
         xsi:type=\"CanonicalUser\"><ID>o</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList>\
         </AccessControlPolicy>"
    );
    add("PUT", "/fuzz", &[("acl", "")], &[], &granted);
    add("PUT", "/fuzz", &[("acl", "")], &[("x-amz-grant-read", "id=\"o\", uri=\"u\"")], "");
    let ownership =
        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>";
    add("PUT", "/fuzz", &[("ownershipControls", "")], &[], ownership);
    let block =
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    add("PUT", "/fuzz", &[("publicAccessBlock", "")], &[], block);
    let lifecycle = "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><And><Prefix>p</Prefix><Tag><Key>a</Key>\
                     <Value>b</Value></Tag><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter><Expiration><Days>40000</Days>\
                     </Expiration><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration></Rule>\
                     </LifecycleConfiguration>";
    add("PUT", "/fuzz", &[("lifecycle", "")], &[], lifecycle);
    let notification = "<NotificationConfiguration><QueueConfiguration><Id>q</Id><Queue>arn:q</Queue><Event>s3:ObjectCreated:*</Event>\
                        <Filter><S3Key><FilterRule><Name>prefix</Name><Value>a</Value></FilterRule></S3Key></Filter></QueueConfiguration>\
                        </NotificationConfiguration>";
    add("PUT", "/fuzz", &[("notification", "")], &[], notification);
    let logging = "<BucketLoggingStatus><LoggingEnabled><TargetBucket>fuzz</TargetBucket><TargetPrefix>l/</TargetPrefix>\
                   <TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource>\
                   </PartitionedPrefix></TargetObjectKeyFormat></LoggingEnabled></BucketLoggingStatus>";
    add("PUT", "/fuzz", &[("logging", "")], &[], logging);
    let renamed = [("x-amz-rename-source", "/fuzz/k"), ("x-amz-rename-source-if-match", "\"x\"")];
    add("PUT", "/fuzz/renamed", &[("renameObject", "")], &renamed, "");
    let account = "<Account><Access>fuzzed</Access><Secret>s</Secret><Role>user</Role><UserID>1</UserID></Account>";
    add("PATCH", "/create-user", &[], &[], account);
    add("PATCH", "/update-user", &[("access", "fuzzed")], &[], "<MutableProps><Role>admin</Role></MutableProps>");
    add("PATCH", "/fuzz-new/create", &[], &[("x-vgw-owner", "fuzzed")], "");
    add("PUT", "/fuzz/k", &[("acl", "")], &[], acl);
    add("POST", "/fuzz/up", &[("uploadId", upload)], &[("x-amz-mp-object-size", "4")], &complete);
    // Queries.
    add("GET", "/", &[("max-buckets", "10"), ("prefix", "f"), ("continuation-token", "AWZ1eno")], &[], "");
    add("GET", "/fuzz", &[("prefix", "a/"), ("delimiter", "/"), ("marker", "a"), ("max-keys", "3")], &[], "");
    add(
        "GET",
        "/fuzz",
        &[
            ("list-type", "2"),
            ("start-after", "a"),
            ("encoding-type", "url"),
            ("fetch-owner", "true"),
            ("continuation-token", "AWs"),
        ],
        &[],
        "",
    );
    add(
        "GET",
        "/fuzz",
        &[("uploads", ""), ("key-marker", "u"), ("upload-id-marker", upload), ("max-uploads", "2"), ("delimiter", "/")],
        &[],
        "",
    );
    add("GET", "/fuzz/up", &[("uploadId", upload), ("part-number-marker", "0"), ("max-parts", "5")], &[], "");
    add("GET", "/fuzz/k", &[("response-content-type", "text/x"), ("partNumber", "1")], &[], "");
    for name in ["acl", "tagging", "attributes", "versionId", "legal-hold", "torrent"] {
        add(
            "GET",
            "/fuzz/k",
            &[(name, "")],
            &[("x-amz-object-attributes", "ETag,ObjectSize,Checksum,ObjectParts")],
            "",
        );
    }
    for name in [
        "acl",
        "tagging",
        "location",
        "versioning",
        "policy",
        "cors",
        "versions",
        "object-lock",
        "lifecycle",
        "logging",
        "notification",
    ] {
        add("GET", "/fuzz", &[(name, "")], &[], "");
    }
    add("DELETE", "/fuzz/k", &[("versionId", "null")], &[("if-match", "*")], "");
    add("DELETE", "/fuzz/k", &[("tagging", "")], &[], "");
    add(
        "DELETE",
        "/fuzz/up",
        &[("uploadId", upload)],
        &[("x-amz-if-match-initiated-time", "Mon, 23 Nov 2026 00:00:00 GMT")],
        "",
    );
    add(
        "POST",
        "/fuzz/up",
        &[("uploads", "")],
        &[("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT")],
        "",
    );
    // Headers.
    add(
        "GET",
        "/fuzz/k",
        &[],
        &[("range", "bytes=2-5"), ("if-match", "\"x\""), ("if-none-match", "W/\"y\", \"z\""), ("if-range", "\"x\"")],
        "",
    );
    add(
        "HEAD",
        "/fuzz/k",
        &[],
        &[
            ("range", "bytes=-3"),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("x-amz-checksum-mode", "ENABLED"),
        ],
        "",
    );
    let put = [
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment; filename=\"a\""),
        ("expires", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-amz-meta-a", "b"),
        ("x-amz-meta-mode", "33188"),
        ("x-amz-meta-mtime", "1600000000.25"),
        ("x-amz-meta-uid", "0"),
        ("x-amz-tagging", "a=b&c=d%20e"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-acl", "private"),
        ("x-amz-expected-bucket-owner", "root-key"),
    ];
    add("PUT", "/fuzz/new/a", &[], &put, "body");
    add("PUT", "/fuzz/k", &[], &[("content-md5", "hBotaJrLaqcCkXOIyQNQzw=="), ("if-none-match", "*")], "body");
    add("PUT", "/fuzz/k", &[], &[("x-amz-checksum-sha256", "I59Z7T2Jd9CRLKkKfHhaoHIzKlxh2EmGpcpaDSW8bIU=")], "body");
    add(
        "PUT",
        "/fuzz/up",
        &[("partNumber", "1"), ("uploadId", upload)],
        &[("x-amz-checksum-crc32", "AAAAAA==")],
        "part",
    );
    let copy = [
        ("x-amz-copy-source", "/fuzz/k?versionId=null"),
        ("x-amz-copy-source-if-match", "\"x\""),
        ("x-amz-copy-source-if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-tagging-directive", "REPLACE"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-checksum-algorithm", "SHA1"),
    ];
    add("PUT", "/fuzz/copy", &[], &copy, "");
    add(
        "PUT",
        "/fuzz/up",
        &[("partNumber", "2"), ("uploadId", upload)],
        &[("x-amz-copy-source", "fuzz/k"), ("x-amz-copy-source-range", "bytes=0-4")],
        "",
    );
    add("POST", "/fuzz/k", &[("select", ""), ("select-type", "2")], &[], "<SelectObjectContentRequest/>");
    add("POST", "/fuzz", &[], &[("content-type", "multipart/form-data; boundary=x")], "--x\r\n\r\n--x--\r\n");
    // Chunked bodies.
    for size in [3, 64] {
        all.push(Case {
            method: "PUT",
            path: "/fuzz/chunked".to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: vec![b'c'; 150],
            chunks: Some(size),
        });
    }
    all
}
