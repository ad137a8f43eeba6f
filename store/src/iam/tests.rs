//! The decision as a whole, and what a bucket's policy must be.

use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::bucket::document;
use super::evaluate::{Decision, Question, Who, decide};
use super::policy::{Effect, Policy, Principal, Selection, Statement, Version};
use super::{AccessBlock, Acl, BucketRules, Context, Identity, Ownership, Permission, Refusal, validate};

const ACTIONS: [&str; 4] = ["s3:GetObject", "s3:PutObject", "s3:Get*", "s3:*"];
const RESOURCES: [&str; 4] =
    ["arn:aws:s3:::b/a", "arn:aws:s3:::b/*", "arn:aws:s3:::b", "arn:aws:s3:::b/?/${aws:username}"];
const NAMES: [&str; 3] = ["ann", "bob", "*"];

fn selection(of: &'static [&'static str]) -> impl Strategy<Value = Selection<String>> {
    let list = prop::collection::vec(prop::sample::select(of).prop_map(str::to_owned), 1..3);
    (prop::bool::weighted(0.2), list).prop_map(|(not, l)| if not { Selection::Not(l) } else { Selection::Any(l) })
}

fn statement() -> impl Strategy<Value = Statement> {
    let principal = prop::option::of(selection(&NAMES).prop_map(|s| match s {
        Selection::Any(l) => Selection::Any(l.iter().map(|n| Principal::new(n)).collect()),
        Selection::Not(l) => Selection::Not(l.iter().map(|n| Principal::new(n)).collect()),
    }));
    let condition = prop_oneof![
        2 => Just(r#"{}"#),
        1 => Just(r#"{"StringLike": {"s3:prefix": "a*"}}"#),
        1 => Just(r#"{"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#),
        1 => Just(r#"{"Null": {"s3:prefix": "true"}}"#),
    ]
    .prop_map(|text| super::condition::Conditions::parse(&serde_json::from_str(text).unwrap()).unwrap());
    let effect = prop_oneof![2 => Just(Effect::Allow), 1 => Just(Effect::Deny)];
    (effect, principal, selection(&ACTIONS), selection(&RESOURCES), condition).prop_map(
        |(effect, principal, action, resource, condition)| Statement { effect, principal, action, resource, condition },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let version = prop_oneof![Just(Version::V2008), Just(Version::V2012)];
    (version, prop::collection::vec(statement(), 1..5)).prop_map(|(version, statements)| Policy { version, statements })
}

#[derive(Clone, Debug)]
struct Asked {
    who: Option<&'static str>,
    action: &'static str,
    resource: &'static str,
    prefix: Option<&'static str>,
    address: &'static str,
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        prop_oneof![Just(None), Just(Some("ann")), Just(Some("bob")), Just(Some("eve"))],
        prop::sample::select(&["s3:GetObject", "s3:PutObject", "s3:ListBucket"][..]),
        prop::sample::select(&["arn:aws:s3:::b", "arn:aws:s3:::b/a", "arn:aws:s3:::b/x/ann", "arn:aws:s3:::c/a"][..]),
        prop_oneof![Just(None), Just(Some("abc")), Just(Some("x"))],
        prop_oneof![Just("10.1.1.1"), Just("192.0.2.1")],
    )
        .prop_map(|(who, action, resource, prefix, address)| Asked { who, action, resource, prefix, address })
}

fn answer(policies: &[Policy], asked: &Asked) -> Decision {
    let mut context = Context::default();
    context.add("aws:SourceIp", asked.address);
    if let Some(name) = asked.who {
        context.add("aws:username", name);
    }
    if let Some(prefix) = asked.prefix {
        context.add("s3:prefix", prefix);
    }
    let who = asked.who.map_or(Who::Anonymous, Who::Account);
    decide(policies, &Question { who, action: asked.action, resource: asked.resource, context: &context })
}

fn alone(statement: &Statement, version: &Version) -> Policy {
    Policy { version: version.clone(), statements: vec![statement.clone()] }
}

proptest! {
    /// What all say together is what any one of them says, the Denies first.
    #[test]
    fn deny_wins_and_statements_do_not_depend_on_each_other(
        policies in prop::collection::vec(policy(), 0..4), asked in asked(),
    ) {
        let each: Vec<Decision> = policies
            .iter()
            .flat_map(|p| p.statements.iter().map(|s| answer(&[alone(s, &p.version)], &asked)))
            .collect();
        let expected = if each.contains(&Decision::Deny) {
            Decision::Deny
        } else if each.contains(&Decision::Allow) {
            Decision::Allow
        } else {
            Decision::Silent
        };
        prop_assert_eq!(answer(&policies, &asked), expected);
    }

    #[test]
    fn another_allow_never_takes_a_right_away(
        mut policies in prop::collection::vec(policy(), 0..3), more in statement(), asked in asked(),
    ) {
        let before = answer(&policies, &asked);
        let more = Statement { effect: Effect::Allow, ..more };
        policies.push(alone(&more, &Version::V2012));
        let after = answer(&policies, &asked);
        prop_assert!(before != Decision::Allow || after == Decision::Allow);
        prop_assert_eq!(before == Decision::Deny, after == Decision::Deny);
    }

    #[test]
    fn order_means_nothing(policies in prop::collection::vec(policy(), 0..4), asked in asked()) {
        let mut turned = policies.clone();
        turned.reverse();
        for policy in &mut turned {
            policy.statements.reverse();
        }
        prop_assert_eq!(answer(&policies, &asked), answer(&turned, &asked));
    }

    #[test]
    fn no_text_makes_reading_panic(text in "\\{[\"{}\\[\\]:,a-zA-Z* ]{0,60}") {
        let _ = Policy::parse(&text);
    }
}

fn check(text: &str) -> Result<Policy, String> {
    let found = validate::bucket_policy(text, "b", |name| Ok::<_, Infallible>(matches!(name, "ann" | "bob")));
    let Ok(result) = found;
    result.map_err(|wrong| wrong.0)
}

fn with(effect: &str, principal: &str, action: &str, resource: &str, condition: &str) -> String {
    format!(
        r#"{{"Statement":[{{"Effect":{effect},"Principal":{principal},"Action":{action},"Resource":{resource},
            "Condition":{condition}}}]}}"#
    )
}

#[test]
fn what_is_wrong_with_a_policy_is_said_as_s3_does() {
    const ALLOW: &str = r#""Allow""#;
    const ALL: &str = r#""arn:aws:s3:::b/*""#;
    const GET: &str = r#""s3:GetObject""#;
    const ANY: &str = r#""*""#;
    for (text, expected) in [
        ("false".to_owned(), "Policies must be valid JSON and the first byte must be '{'"),
        ("{true}".to_owned(), "This policy contains invalid Json"),
        ("{}".to_owned(), "Missing required field Statement"),
        (r#"{"Statement": []}"#.to_owned(), "Could not parse the policy: Statement is empty!"),
        (r#"{"Statement": [], "Foo": 1}"#.to_owned(), "Unknown field Foo"),
        (r#"{"Statement": {"Effect": "Allow"}}"#.to_owned(), "Missing required field Action"),
        (
            r#"{"Statement": {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#.to_owned(),
            "Missing required field Principal",
        ),
        (
            r#"{"Statement": {"Effect":"Allow","NotPrincipal":"ann","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}}"#
                .to_owned(),
            "Allow with NotPrincipal is not allowed.",
        ),
        (
            r#"{"Version":"2012-10-16","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*",
                "Resource":"arn:aws:s3:::b"}]}"#
                .to_owned(),
            "The policy must contain a valid version string",
        ),
        (with(r#""maybe""#, ANY, GET, r#""arn:aws:s3:::*""#, "{}"), "Invalid effect: maybe"),
        (with(ALLOW, r#""""#, GET, ALL, "{}"), "Invalid principal in policy"),
        (with(ALLOW, r#"{"AWS": []}"#, GET, ALL, "{}"), "Invalid principal in policy"),
        (with(ALLOW, r#"{"Service": "x"}"#, GET, ALL, "{}"), "Invalid principal in policy"),
        (with(ALLOW, r#"["*", "ann"]"#, GET, ALL, "{}"), "Invalid principal in policy"),
        (with(ALLOW, r#"["ann", "eve"]"#, GET, ALL, "{}"), "Invalid principal in policy"),
        (with(ALLOW, ANY, r#""s3:Nothing""#, ALL, "{}"), "Policy has invalid action"),
        (with(ALLOW, ANY, "[]", ALL, "{}"), "Policy has invalid action"),
        (with(ALLOW, ANY, GET, r#""""#, "{}"), "Policy has invalid resource"),
        (with(ALLOW, ANY, GET, r#""arn:aws:s3:::/b""#, "{}"), "Policy has invalid resource"),
        (with(ALLOW, ANY, GET, r#""arn:aws:s3:::bb/*""#, "{}"), "Policy has invalid resource"),
        (with(ALLOW, ANY, GET, r#""arn:aws:iam:::b""#, "{}"), "Policy has invalid resource"),
        (with(ALLOW, ANY, GET, r#""arn:aws:s3:::b""#, "{}"), "Action does not apply to any resource(s) in statement"),
        (
            with(ALLOW, ANY, r#""s3:*Multipart*""#, r#""arn:aws:s3:::b""#, "{}"),
            "Action does not apply to any resource(s) in statement",
        ),
        (with(ALLOW, ANY, r#""s3:ListBucket""#, ALL, "{}"), "Action does not apply to any resource(s) in statement"),
        (
            with(ALLOW, ANY, GET, ALL, r#"{"stringequals":{"aws:UserAgent":"x"}}"#),
            "Invalid Condition type : stringequals",
        ),
        (with(ALLOW, ANY, GET, ALL, r#"{"StringEquals":{"aws:Nothing":"x"}}"#), "Policy has an invalid condition key"),
        (
            with(ALLOW, ANY, GET, ALL, r#"{"StringEquals":{"s3:prefix":"x"}}"#),
            "Conditions do not apply to combination of actions and resources in statement",
        ),
        (
            with(ALLOW, ANY, r#"["s3:GetObject","s3:PutObject"]"#, ALL, r#"{"StringEquals":{"s3:x-amz-acl":"x"}}"#),
            "Conditions do not apply to combination of actions and resources in statement",
        ),
        (with(ALLOW, ANY, GET, ALL, r#"{"Null":{"aws:SourceIp":"true"}}"#), "Invalid IP address in Conditions"),
    ] {
        assert_eq!(check(&text).unwrap_err(), expected, "{text}");
    }
    let long = with(ALLOW, ANY, GET, ALL, "{}") + &" ".repeat(validate::MAX_POLICY);
    assert_eq!(check(&long).unwrap_err(), "Policy exceeds the maximum allowed document size.");
}

#[test]
fn what_is_right_is_accepted() {
    for (principal, action, resource) in [
        (r#"["ann","bob"]"#, r#""s3:DeleteBucket""#, r#""arn:aws:s3:::b""#),
        (r#"{"AWS":["arn:aws:iam::123456789012:user/path/ann"]}"#, r#""s3:*""#, r#""arn:aws:s3:::b""#),
        (r#"{"AWS":"*"}"#, r#""s3:Get*""#, r#""arn:aws:s3:::b/*""#),
        (r#""*""#, r#"["s3:ListBucket","s3:GetObject"]"#, r#"["arn:aws:s3:::b","arn:aws:s3:::b/x"]"#),
        (r#""*""#, r#"["s3:ListBucket","s3:GetObject"]"#, r#""arn:aws:s3:::b*""#),
        (r#""*""#, r#""pinfold:Pin""#, r#""arn:aws:s3:::b/*""#),
    ] {
        check(&with(r#""Allow""#, principal, action, resource, "{}")).unwrap();
    }
}

#[test]
fn a_policy_is_public_where_it_gives_everybody_something() {
    let public = |effect: &str, principal: &str, condition: &str| {
        let text = with(effect, principal, r#""s3:GetObject""#, r#""arn:aws:s3:::b/*""#, condition);
        Policy::parse(&text).unwrap().is_public()
    };
    assert!(public(r#""Allow""#, r#""*""#, "{}"));
    assert!(!public(r#""Deny""#, r#""*""#, "{}"));
    assert!(!public(r#""Allow""#, r#""ann""#, "{}"));
    assert!(!public(r#""Allow""#, r#""*""#, r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#));
    assert!(public(r#""Allow""#, r#""*""#, r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","0.0.0.0/0"]}}"#));
    assert!(public(r#""Allow""#, r#""*""#, r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#));
    assert!(public(r#""Allow""#, r#""*""#, r#"{"StringLike":{"aws:UserAgent":"secret"}}"#));
}

fn may(rules: &BucketRules, who: Who<'_>, action: &str, permission: Permission) -> Result<(), Refusal> {
    let context = Context::default();
    let question = Question { who, action, resource: "arn:aws:s3:::b/k", context: &context };
    rules.check("ann", &question, Some(permission), &Identity::default())
}

#[test]
fn owner_policy_and_list_together() {
    let (get, put) = (("s3:GetObject", Permission::Read), ("s3:PutObject", Permission::Write));
    let ask = |rules: &BucketRules, who, (action, permission)| may(rules, who, action, permission);
    let mut rules = BucketRules::default();
    assert_eq!(ask(&rules, Who::Account("ann"), put), Ok(()));
    assert_eq!(ask(&rules, Who::Account("bob"), get), Err(Refusal::Implicit));
    assert_eq!(ask(&rules, Who::Anonymous, get), Err(Refusal::Implicit));

    rules.acl = Acl::canned("public-read").unwrap();
    assert_eq!(ask(&rules, Who::Anonymous, get), Err(Refusal::Implicit), "lists are off");
    rules.ownership = Ownership::ObjectWriter;
    assert_eq!(ask(&rules, Who::Anonymous, get), Ok(()));
    assert_eq!(ask(&rules, Who::Anonymous, put), Err(Refusal::Implicit));
    rules.block = Some(AccessBlock { ignore_public_acls: true, ..AccessBlock::default() });
    assert_eq!(ask(&rules, Who::Anonymous, get), Err(Refusal::Implicit));
    rules.block = None;
    rules.acl = Acl::canned("authenticated-read").unwrap();
    assert_eq!(ask(&rules, Who::Anonymous, get), Err(Refusal::Implicit));
    assert_eq!(ask(&rules, Who::Account("bob"), get), Ok(()));

    let text = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},
        {"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}]}"#;
    rules.policy = Some(Policy::parse(text).unwrap());
    assert_eq!(ask(&rules, Who::Account("bob"), get), Err(Refusal::Explicit), "a Deny goes before the list");
    assert_eq!(ask(&rules, Who::Account("ann"), get), Err(Refusal::Explicit), "and before ownership");
    assert_eq!(ask(&rules, Who::Anonymous, put), Ok(()));
    rules.block = Some(AccessBlock { restrict_public_buckets: true, ..AccessBlock::default() });
    assert_eq!(ask(&rules, Who::Anonymous, put), Err(Refusal::Implicit), "a public policy allows nobody");
    assert_eq!(ask(&rules, Who::Account("ann"), put), Ok(()), "but the owner");
}

#[test]
fn documents_are_read_or_refused() {
    let read = |name: &str, text: &str| BucketRules::read(&BTreeMap::from([(name.to_owned(), text.to_owned())]));
    assert_eq!(BucketRules::read(&BTreeMap::new()).unwrap(), BucketRules::default());
    assert_eq!(read(document::OWNERSHIP, Ownership::Deleted.stored()).unwrap().ownership, Ownership::Deleted);
    let acl = Acl::canned("public-read-write").unwrap();
    assert_eq!(read(document::ACL, &serde_json::to_string(&acl).unwrap()).unwrap().acl, acl);
    let block = AccessBlock { block_public_policy: true, ..AccessBlock::default() };
    assert_eq!(read(document::BLOCK, &serde_json::to_string(&block).unwrap()).unwrap().block, Some(block));
    for (name, text) in [
        (document::POLICY, "{"),
        (document::ACL, r#"{"grants":[{"grantee":"somebody","permission":"READ"}]}"#),
        (document::OWNERSHIP, "mine"),
        (document::BLOCK, "{}"),
    ] {
        assert!(read(name, text).is_err(), "{name}");
    }
    assert_eq!(Ownership::parse("deleted"), None);
}
