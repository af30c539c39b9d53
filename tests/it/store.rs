//! The conformance suite of the stores: SQLite in memory and in a file, and DynamoDB over HTTP.

mod bench;
mod deliveries;
mod dynamodb;
mod jobs;
mod model;
mod shared;

use bench::Bench;

/// Runs each test for each store.
macro_rules! conformance {
    ($($module:ident::$name:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$module::$name(&super::Bench::in_memory()).await;
            })*
        }

        mod in_file {
            $(#[tokio::test]
            async fn $name() {
                super::$module::$name(&super::Bench::in_file()).await;
            })*
        }

        mod in_dynamodb {
            $(#[tokio::test]
            async fn $name() {
                super::$module::$name(&super::Bench::in_dynamodb().await).await;
            })*
        }
    };
}

conformance!(
    jobs::job_is_added_once_and_read_back,
    jobs::clock_jump_is_fenced_by_versions,
    jobs::job_has_one_driver_at_a_time,
    jobs::stale_lease_writes_nothing,
    jobs::checkpoint_extends_lease,
    jobs::concurrent_adds_and_claims_have_one_winner,
    jobs::due_lists_unleased_jobs,
    jobs::expired_lease_makes_job_due,
    jobs::jobs_are_listed_in_pages,
    jobs::finished_job_expires_after_retention,
    jobs::parked_job_is_due_only_after_unpark,
    jobs::job_with_50000_records_is_stored,
    jobs::changed_request_is_stored,
    shared::lock_has_one_holder,
    shared::concurrent_locks_have_one_winner,
    shared::value_is_written_under_its_lock,
    deliveries::delivery_is_stored_byte_for_byte,
    deliveries::delivery_with_large_attributes_is_stored,
    deliveries::dead_letters_are_listed_and_deleted,
    deliveries::delivery_is_deleted_when_job_succeeds,
    deliveries::failed_job_makes_delivery_a_dead_letter,
    deliveries::parked_job_makes_dead_letter_until_unparked,
    deliveries::shared_delivery_outlives_first_job,
    deliveries::restore_skips_newer_dead_letter,
    deliveries::stale_release_deletes_no_delivery,
    deliveries::stale_release_makes_no_dead_letter,
    deliveries::redelivery_after_expiry_is_stored_again,
);

/// These change the stored data directly.
mod unreadable {
    #[tokio::test]
    async fn in_file() {
        super::jobs::unreadable_job_is_parked(&super::Bench::in_file()).await;
    }

    #[tokio::test]
    async fn in_dynamodb() {
        super::jobs::unreadable_job_is_parked(&super::Bench::in_dynamodb().await).await;
    }
}
