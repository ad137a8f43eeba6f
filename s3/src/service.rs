//! The S3 operations this server offers, one line each; what is not here answers `501 NotImplemented` (s3s's default).

use std::sync::Arc;

use pinfold_store::namespace::Namespace;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput,
    DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput, DeleteBucketOutput, DeleteBucketOwnershipControlsInput,
    DeleteBucketOwnershipControlsOutput, DeleteBucketPolicyInput, DeleteBucketPolicyOutput, DeleteBucketTaggingInput,
    DeleteBucketTaggingOutput, DeleteBucketWebsiteInput, DeleteBucketWebsiteOutput, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectTaggingInput, DeleteObjectTaggingOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput, GetBucketAclInput, GetBucketAclOutput,
    GetBucketCorsInput, GetBucketCorsOutput, GetBucketLifecycleConfigurationInput,
    GetBucketLifecycleConfigurationOutput, GetBucketLocationInput, GetBucketLocationOutput,
    GetBucketNotificationConfigurationInput, GetBucketNotificationConfigurationOutput, GetBucketOwnershipControlsInput,
    GetBucketOwnershipControlsOutput, GetBucketPolicyInput, GetBucketPolicyOutput, GetBucketPolicyStatusInput,
    GetBucketPolicyStatusOutput, GetBucketTaggingInput, GetBucketTaggingOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, GetBucketWebsiteInput, GetBucketWebsiteOutput, GetObjectAclInput, GetObjectAclOutput,
    GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectInput, GetObjectLegalHoldInput,
    GetObjectLegalHoldOutput, GetObjectLockConfigurationInput, GetObjectLockConfigurationOutput, GetObjectOutput,
    GetObjectRetentionInput, GetObjectRetentionOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    GetPublicAccessBlockInput, GetPublicAccessBlockOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, ListPartsInput, ListPartsOutput, PutBucketAclInput, PutBucketAclOutput, PutBucketCorsInput,
    PutBucketCorsOutput, PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput,
    PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput, PutBucketOwnershipControlsInput,
    PutBucketOwnershipControlsOutput, PutBucketPolicyInput, PutBucketPolicyOutput, PutBucketTaggingInput,
    PutBucketTaggingOutput, PutBucketVersioningInput, PutBucketVersioningOutput, PutBucketWebsiteInput,
    PutBucketWebsiteOutput, PutObjectAclInput, PutObjectAclOutput, PutObjectInput, PutObjectLegalHoldInput,
    PutObjectLegalHoldOutput, PutObjectLockConfigurationInput, PutObjectLockConfigurationOutput, PutObjectOutput,
    PutObjectRetentionInput, PutObjectRetentionOutput, PutObjectTaggingInput, PutObjectTaggingOutput,
    PutPublicAccessBlockInput, PutPublicAccessBlockOutput, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::dto::{
    DeleteBucketEncryptionInput, DeleteBucketEncryptionOutput, GetBucketEncryptionInput, GetBucketEncryptionOutput,
    PutBucketEncryptionInput, PutBucketEncryptionOutput,
};
use s3s::dto::{GetBucketLoggingInput, GetBucketLoggingOutput, PutBucketLoggingInput, PutBucketLoggingOutput};
use s3s::{S3, S3Request, S3Response, S3Result};

use crate::auth::Credentials;
use crate::bucketlog::BucketLogs;
use crate::longkey::LongKey;
use crate::ops::{
    access_block, acl, attributes, bucket, complete, copy, cors, delete, get, head, lifecycle, list, lock, multipart,
    notification, ownership, policy, put, tagging, versioning, website,
};
use crate::ops::{encryption, logging};

/// s3s's view of the door.
#[derive(Clone)]
pub(crate) struct Service {
    /// The store.
    pub(crate) namespace: Namespace,
    /// The region of buckets that name none.
    pub(crate) region: String,
    /// Whether buckets can keep versions.
    pub(crate) versioning: bool,
    /// Targets that buckets may name for their notifications.
    pub(crate) targets: Arc<[String]>,
    /// Who there is.
    pub(crate) accounts: Arc<dyn Credentials>,
    /// Logs of buckets.
    pub(crate) bucket_logs: Arc<BucketLogs>,
}

/// One method a line: `name, function, input, output`. Those of the second group know keys of any length (`longkey`).
macro_rules! operations {
    (
        $($name:ident => $function:path, $input:ty, $output:ty;)+
        [any length of key]
        $($long_name:ident => $long_function:path, $long_input:ty, $long_output:ty;)+
    ) => {
        #[async_trait::async_trait]
        impl S3 for Service {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                $function(self, request).await
            })+
            $(async fn $long_name(
                &self,
                mut request: S3Request<$long_input>,
            ) -> S3Result<S3Response<$long_output>> {
                if let Some(LongKey(key)) = request.extensions.remove() {
                    request.input.key = key;
                }
                $long_function(self, request).await
            })+
        }
    };
}

operations! {
    list_buckets => bucket::list, ListBucketsInput, ListBucketsOutput;
    create_bucket => bucket::create, CreateBucketInput, CreateBucketOutput;
    head_bucket => bucket::head, HeadBucketInput, HeadBucketOutput;
    delete_bucket => bucket::delete, DeleteBucketInput, DeleteBucketOutput;
    get_bucket_location => bucket::location, GetBucketLocationInput, GetBucketLocationOutput;
    get_bucket_versioning => versioning::get, GetBucketVersioningInput, GetBucketVersioningOutput;
    put_bucket_versioning => versioning::put, PutBucketVersioningInput, PutBucketVersioningOutput;
    list_object_versions => versioning::list, ListObjectVersionsInput, ListObjectVersionsOutput;
    put_object_lock_configuration => lock::put_configuration, PutObjectLockConfigurationInput, PutObjectLockConfigurationOutput;
    get_object_lock_configuration => lock::get_configuration, GetObjectLockConfigurationInput, GetObjectLockConfigurationOutput;
    put_object_retention => lock::put_retention, PutObjectRetentionInput, PutObjectRetentionOutput;
    get_object_retention => lock::get_retention, GetObjectRetentionInput, GetObjectRetentionOutput;
    put_object_legal_hold => lock::put_hold, PutObjectLegalHoldInput, PutObjectLegalHoldOutput;
    get_object_legal_hold => lock::get_hold, GetObjectLegalHoldInput, GetObjectLegalHoldOutput;
    get_bucket_acl => acl::get, GetBucketAclInput, GetBucketAclOutput;
    put_bucket_acl => acl::put, PutBucketAclInput, PutBucketAclOutput;
    put_object_acl => acl::put_object, PutObjectAclInput, PutObjectAclOutput;
    get_bucket_policy => policy::get, GetBucketPolicyInput, GetBucketPolicyOutput;
    put_bucket_policy => policy::put, PutBucketPolicyInput, PutBucketPolicyOutput;
    delete_bucket_policy => policy::delete, DeleteBucketPolicyInput, DeleteBucketPolicyOutput;
    get_bucket_policy_status => policy::status, GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput;
    get_bucket_ownership_controls => ownership::get, GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput;
    put_bucket_ownership_controls => ownership::put, PutBucketOwnershipControlsInput, PutBucketOwnershipControlsOutput;
    delete_bucket_ownership_controls => ownership::delete, DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput;
    get_public_access_block => access_block::get, GetPublicAccessBlockInput, GetPublicAccessBlockOutput;
    put_public_access_block => access_block::put, PutPublicAccessBlockInput, PutPublicAccessBlockOutput;
    delete_public_access_block => access_block::delete, DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput;
    get_bucket_tagging => tagging::get_bucket, GetBucketTaggingInput, GetBucketTaggingOutput;
    put_bucket_tagging => tagging::put_bucket, PutBucketTaggingInput, PutBucketTaggingOutput;
    delete_bucket_tagging => tagging::delete_bucket, DeleteBucketTaggingInput, DeleteBucketTaggingOutput;
    get_bucket_cors => cors::get, GetBucketCorsInput, GetBucketCorsOutput;
    put_bucket_cors => cors::put, PutBucketCorsInput, PutBucketCorsOutput;
    delete_bucket_cors => cors::delete, DeleteBucketCorsInput, DeleteBucketCorsOutput;
    get_bucket_website => website::get, GetBucketWebsiteInput, GetBucketWebsiteOutput;
    put_bucket_website => website::put, PutBucketWebsiteInput, PutBucketWebsiteOutput;
    delete_bucket_website => website::delete, DeleteBucketWebsiteInput, DeleteBucketWebsiteOutput;
    get_bucket_lifecycle_configuration => lifecycle::get, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput;
    put_bucket_lifecycle_configuration => lifecycle::put, PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput;
    delete_bucket_lifecycle => lifecycle::delete, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput;
    get_bucket_notification_configuration => notification::get, GetBucketNotificationConfigurationInput, GetBucketNotificationConfigurationOutput;
    put_bucket_notification_configuration => notification::put, PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput;
    get_bucket_encryption => encryption::get, GetBucketEncryptionInput, GetBucketEncryptionOutput;
    put_bucket_encryption => encryption::put, PutBucketEncryptionInput, PutBucketEncryptionOutput;
    delete_bucket_encryption => encryption::delete, DeleteBucketEncryptionInput, DeleteBucketEncryptionOutput;
    get_bucket_logging => logging::get, GetBucketLoggingInput, GetBucketLoggingOutput;
    put_bucket_logging => logging::put, PutBucketLoggingInput, PutBucketLoggingOutput;
    list_objects => list::v1, ListObjectsInput, ListObjectsOutput;
    list_objects_v2 => list::v2, ListObjectsV2Input, ListObjectsV2Output;
    put_object => put::put, PutObjectInput, PutObjectOutput;
    delete_objects => delete::many, DeleteObjectsInput, DeleteObjectsOutput;
    copy_object => copy::copy, CopyObjectInput, CopyObjectOutput;
    put_object_tagging => tagging::put, PutObjectTaggingInput, PutObjectTaggingOutput;
    create_multipart_upload => multipart::create, CreateMultipartUploadInput, CreateMultipartUploadOutput;
    upload_part => multipart::upload, UploadPartInput, UploadPartOutput;
    upload_part_copy => multipart::copy, UploadPartCopyInput, UploadPartCopyOutput;
    list_multipart_uploads => multipart::list, ListMultipartUploadsInput, ListMultipartUploadsOutput;
    complete_multipart_upload => complete::complete, CompleteMultipartUploadInput, CompleteMultipartUploadOutput;
    [any length of key]
    get_object => get::get, GetObjectInput, GetObjectOutput;
    head_object => head::head, HeadObjectInput, HeadObjectOutput;
    get_object_acl => head::acl, GetObjectAclInput, GetObjectAclOutput;
    get_object_attributes => attributes::get, GetObjectAttributesInput, GetObjectAttributesOutput;
    delete_object => delete::one, DeleteObjectInput, DeleteObjectOutput;
    get_object_tagging => tagging::get, GetObjectTaggingInput, GetObjectTaggingOutput;
    delete_object_tagging => tagging::delete, DeleteObjectTaggingInput, DeleteObjectTaggingOutput;
    list_parts => multipart::list_parts, ListPartsInput, ListPartsOutput;
    abort_multipart_upload => multipart::abort, AbortMultipartUploadInput, AbortMultipartUploadOutput;
}
