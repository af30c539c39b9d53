//! Lists of deliveries. DynamoDB has no log of deliveries, because strangers could cause writes that are billed. The list is
//! made of what is stored in any case: the jobs of accepted deliveries, and dead letters.

use super::DynamoStore;
use super::deliveries;
use crate::store::delivery_log::{
    DeliveryFilter, DeliveryPage, DeliverySummary, LogEntry, StoredParts,
};
use crate::store::{ListKey, PageRequest, StoreError};

/// The number of latest dead letters among which a shortened id is looked for.
const PREFIX_DELIVERIES: usize = 1_000;

impl DynamoStore {
    pub(super) async fn latest_deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<DeliveryPage, StoreError> {
        let after = page.below();
        let after = after.as_ref().map(ListKey::as_str);
        let read = |item: &_| {
            let dead = deliveries::summary(item)?;
            let entry = LogEntry::of_stored(&StoredParts {
                id: &dead.id,
                route: &dead.route,
                at: dead.at,
                dead_letter: Some(&dead.dead_letter),
                bytes: dead.body_bytes,
                trigger: None,
            });
            let dead_letter = Some(dead.dead_letter);
            Some(DeliverySummary { entry, dead_letter }).filter(|found| filter.matches(found))
        };
        let (entries, next) = self.latest("deliveries", page.limit, after, read).await?;
        Ok(DeliveryPage {
            next: next.map(|next| ListKey::from_outside(&next).to_cursor()),
            latest: None,
            entries,
        })
    }

    pub(super) async fn latest_delivery_ids(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let read = |item: &_| deliveries::summary(item).map(|dead| dead.id);
        let (ids, _) = self
            .latest("deliveries", PREFIX_DELIVERIES, None, read)
            .await?;
        let mut ids: Vec<_> = ids
            .into_iter()
            .filter(|id| id.starts_with(prefix))
            .collect();
        ids.truncate(limit);
        Ok(ids)
    }
}
