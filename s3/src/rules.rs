//! Buckets' documents about access, read once: every request asks them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use pinfold_store::iam::BucketRules;
use pinfold_store::meta::rows::BucketSettings;
use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::types::Id;
use s3s::S3Result;

use crate::error::OrS3;

/// Buckets remembered; then all are forgotten.
const MOST: usize = 4096;

/// Settings, and the rules that were read from them.
type Read = (Arc<BucketSettings>, Arc<BucketRules>);

/// Rules that were read, each with the settings that they were read from (which changed settings are not).
#[derive(Default)]
pub(crate) struct Rules {
    none: Arc<BucketRules>,
    read: RwLock<HashMap<Id, Read>>,
}

impl Rules {
    /// A bucket's rules. Documents that cannot be read are an error, which lets nobody in.
    pub(crate) fn of(&self, bucket: &BucketInfo) -> S3Result<Arc<BucketRules>> {
        if bucket.settings.documents.is_empty() {
            return Ok(self.none.clone());
        }
        if let Some((settings, rules)) = self.read.read().get(&bucket.id)
            && Arc::ptr_eq(settings, &bucket.settings)
        {
            return Ok(rules.clone());
        }
        let rules = Arc::new(BucketRules::read(&bucket.settings.documents).or_s3()?);
        let mut read = self.read.write();
        if read.len() >= MOST {
            read.clear();
        }
        read.insert(bucket.id, (bucket.settings.clone(), rules.clone()));
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use pinfold_store::types::Timestamp;

    use super::*;

    fn bucket(documents: &[(&str, &str)]) -> BucketInfo {
        let documents = documents.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
        BucketInfo {
            id: Id([1; 16]),
            name: "b".to_owned(),
            created: Timestamp::default(),
            owner: "ann".to_owned(),
            profile: pinfold_store::unixfs::Profile::default(),
            region: None,
            tags: Vec::new(),
            settings: Arc::new(BucketSettings { documents, ..BucketSettings::default() }),
        }
    }

    #[test]
    fn changed_settings_are_read_again() {
        let rules = Rules::default();
        let first = bucket(&[("ownershipControls", "ObjectWriter")]);
        let read = rules.of(&first).unwrap();
        assert!(read.ownership.has_lists());
        assert!(Arc::ptr_eq(&read, &rules.of(&first).unwrap()), "it is remembered");
        assert!(!rules.of(&bucket(&[("ownershipControls", "BucketOwnerEnforced")])).unwrap().ownership.has_lists());
        assert!(!rules.of(&bucket(&[])).unwrap().ownership.has_lists());
        assert!(rules.of(&bucket(&[("policy", "not one")])).is_err());
    }
}
