//! PutBucketNotificationConfiguration, GetBucketNotificationConfiguration. (Who delivers is not here: `node` does.)

use pinfold_store::namespace::notices::{DOCUMENT, Notifications, NotifyRule, TargetKind};
use pinfold_store::types::Id;
use s3s::dto::{
    Event, FilterRule, FilterRuleName, GetBucketNotificationConfigurationInput,
    GetBucketNotificationConfigurationOutput, LambdaFunctionConfiguration, NotificationConfiguration,
    NotificationConfigurationFilter, PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput,
    QueueConfiguration, S3KeyFilter, TopicConfiguration,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use crate::access;
use crate::body::upload::to_the_end;
use crate::error::{bad_argument, fail, internal, invalid_argument};
use crate::service::Service;

/// Events that are told of. (A `*` stands for all that begin so.)
const EVENTS: [&str; 14] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    // A form's file is told of as s3:ObjectCreated:Put.
    "s3:ObjectCreated:Post",
];

/// PutBucketNotificationConfiguration: each target must be one that the node knows, and gets a test event.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
    let access = access::of(&request)?;
    let wanted = from_s3(request.input.notification_configuration, &service.targets)?;
    let (namespace, caller, bucket) = (service.namespace.clone(), access.caller(), access.bucket()?.name.clone());
    to_the_end(async move { namespace.set_notifications(&caller, &bucket, wanted).await }).await?;
    Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
}

/// GetBucketNotificationConfiguration.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
    let access = access::of(&request)?;
    let read = |text: &String| {
        serde_json::from_str(text).map_err(|e| internal("a bucket's notification configuration cannot be read", e))
    };
    let stored = access.bucket()?.settings.documents.get(DOCUMENT).map(read).transpose()?;
    Ok(S3Response::new(to_s3(stored.unwrap_or_default())))
}

fn from_s3(configuration: NotificationConfiguration, targets: &[String]) -> S3Result<Notifications> {
    if configuration.event_bridge_configuration.is_some() {
        return Err(fail(S3ErrorCode::NotImplemented, "EventBridge is not offered by this server"));
    }
    let queues = configuration.queue_configurations.into_iter().flatten();
    let queues = queues.map(|c| (TargetKind::Queue, c.id, c.queue_arn, c.events, c.filter));
    let topics = configuration.topic_configurations.into_iter().flatten();
    let topics = topics.map(|c| (TargetKind::Topic, c.id, c.topic_arn, c.events, c.filter));
    let functions = configuration.lambda_function_configurations.into_iter().flatten();
    let functions = functions.map(|c| (TargetKind::Function, c.id, c.lambda_function_arn, c.events, c.filter));
    let mut rules: Vec<NotifyRule> = Vec::new();
    for (kind, id, target, events, filter) in queues.chain(topics).chain(functions) {
        if !targets.contains(&target) {
            return Err(bad_argument("Target", &target, "Unable to validate the following destination configurations"));
        }
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| Id::random().to_string());
        if rules.iter().any(|rule| rule.id == id) {
            return Err(invalid_argument("Same ID used for multiple configurations. IDs must be unique"));
        }
        let events: Vec<String> = events.iter().map(|event| String::from(event.clone())).collect();
        if let Some(unknown) = events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
            return Err(bad_argument("Event", unknown, "The event is not supported for notifications"));
        }
        if events.is_empty() {
            return Err(crate::error::plain(S3ErrorCode::MalformedXML));
        }
        let (prefix, suffix) = filter_from_s3(filter)?;
        rules.push(NotifyRule { id, kind, target, events, prefix, suffix });
    }
    Ok(Notifications { rules })
}

fn filter_from_s3(filter: Option<NotificationConfigurationFilter>) -> S3Result<(Option<String>, Option<String>)> {
    let (mut prefix, mut suffix) = (None, None);
    for FilterRule { name, value } in filter.and_then(|f| f.key).and_then(|k| k.filter_rules).into_iter().flatten() {
        let name = name.map(|name| name.as_str().to_ascii_lowercase()).unwrap_or_default();
        let place = match name.as_str() {
            "prefix" => &mut prefix,
            "suffix" => &mut suffix,
            _ => return Err(invalid_argument("filter rule name must be either prefix or suffix")),
        };
        if place.replace(value.unwrap_or_default()).is_some() {
            return Err(invalid_argument(format!("Cannot specify more than one {name} rule in a filter.")));
        }
    }
    Ok((prefix, suffix))
}

fn filter_to_s3(prefix: Option<String>, suffix: Option<String>) -> Option<NotificationConfigurationFilter> {
    let rule = |name, value: Option<String>| {
        value.map(|value| FilterRule { name: Some(FilterRuleName::from_static(name)), value: Some(value) })
    };
    let rules: Vec<FilterRule> =
        [rule(FilterRuleName::PREFIX, prefix), rule(FilterRuleName::SUFFIX, suffix)].into_iter().flatten().collect();
    (!rules.is_empty())
        .then_some(NotificationConfigurationFilter { key: Some(S3KeyFilter { filter_rules: Some(rules) }) })
}

fn to_s3(stored: Notifications) -> GetBucketNotificationConfigurationOutput {
    let (mut queues, mut topics, mut functions) = (Vec::new(), Vec::new(), Vec::new());
    for NotifyRule { id, kind, target, events, prefix, suffix } in stored.rules {
        let events: Vec<Event> = events.into_iter().map(Event::from).collect();
        let (id, filter) = (Some(id), filter_to_s3(prefix, suffix));
        match kind {
            TargetKind::Queue => queues.push(QueueConfiguration { events, filter, id, queue_arn: target }),
            TargetKind::Topic => topics.push(TopicConfiguration { events, filter, id, topic_arn: target }),
            TargetKind::Function => {
                functions.push(LambdaFunctionConfiguration { events, filter, id, lambda_function_arn: target });
            }
        }
    }
    GetBucketNotificationConfigurationOutput {
        event_bridge_configuration: None,
        lambda_function_configurations: (!functions.is_empty()).then_some(functions),
        queue_configurations: (!queues.is_empty()).then_some(queues),
        topic_configurations: (!topics.is_empty()).then_some(topics),
    }
}

/// For [`crate::fuzzing`].
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(configuration: NotificationConfiguration) {
    let _ = from_s3(configuration, &["hook".to_owned()]).map(to_s3);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(target: &str, event: &str, name: &'static str) -> NotificationConfiguration {
        let rule = FilterRule { name: Some(FilterRuleName::from_static(name)), value: Some("a/".to_owned()) };
        NotificationConfiguration {
            queue_configurations: Some(vec![QueueConfiguration {
                events: vec![Event::from(event.to_owned())],
                filter: Some(NotificationConfigurationFilter {
                    key: Some(S3KeyFilter { filter_rules: Some(vec![rule]) }),
                }),
                id: Some("q".to_owned()),
                queue_arn: target.to_owned(),
            }]),
            ..NotificationConfiguration::default()
        }
    }

    #[test]
    fn what_is_read_is_shown() {
        let known = ["arn:a".to_owned()];
        let sent = queue("arn:a", "s3:ObjectCreated:*", "prefix");
        let read = from_s3(sent.clone(), &known).unwrap();
        assert_eq!((read.rules[0].prefix.as_deref(), &read.rules[0].suffix), (Some("a/"), &None));
        assert_eq!(to_s3(read).queue_configurations, sent.queue_configurations);
        for (bad, words) in [
            (queue("arn:b", "s3:ObjectCreated:*", "prefix"), "Unable to validate"),
            (queue("arn:a", "s3:Unheard", "prefix"), "not supported"),
            (queue("arn:a", "s3:ObjectCreated:*", "middle"), "either prefix or suffix"),
        ] {
            let refused = from_s3(bad, &known).unwrap_err();
            assert!(refused.message().unwrap_or_default().contains(words), "{refused:?}");
        }
        let mut twice = queue("arn:a", "s3:ObjectCreated:*", "prefix");
        let list = twice.queue_configurations.as_mut().unwrap();
        list.push(list[0].clone());
        assert_eq!(from_s3(twice, &known).unwrap_err().code(), &S3ErrorCode::InvalidArgument);
    }
}
