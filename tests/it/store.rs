//! The conformance suite of the stores: in memory, SQLite in memory and in a file, and DynamoDB over HTTP.

mod dead_letters;
mod deliveries;
mod delivery_fixture;
mod due_jobs;
mod dynamodb;
mod dynamodb_costs;
mod erasure;
mod fixture;
mod jobs;
mod leases;
mod listing;
mod lists;
mod model;
mod record_orders;
mod shared;

use fixture::Fixture;

/// Runs each test for each store.
macro_rules! conformance {
    ($($module:ident::$name:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$module::$name(&super::Fixture::in_memory()).await;
            })*
        }

        mod in_sqlite_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$module::$name(&super::Fixture::in_sqlite_memory()).await;
            })*
        }

        mod in_file {
            $(#[tokio::test]
            async fn $name() {
                super::$module::$name(&super::Fixture::in_file()).await;
            })*
        }

        mod in_dynamodb {
            $(#[tokio::test]
            async fn $name() {
                super::$module::$name(&super::Fixture::in_dynamodb().await).await;
            })*
        }
    };
}

conformance!(
    jobs::job_is_added_once_and_read_back,
    leases::clock_jump_is_fenced_by_versions,
    leases::job_has_one_driver_at_a_time,
    leases::stale_lease_writes_nothing,
    leases::checkpoint_extends_lease,
    leases::concurrent_adds_and_claims_have_one_winner,
    due_jobs::due_lists_unleased_jobs,
    due_jobs::expired_lease_makes_job_due,
    due_jobs::slow_callback_is_due_until_delivered,
    listing::jobs_are_listed_in_pages,
    listing::finished_job_expires_after_retention,
    lists::filters_select_jobs,
    lists::newer_jobs_are_listed_after_position,
    lists::dead_letters_are_filtered_in_pages,
    lists::log_keeps_a_share_for_each_class,
    due_jobs::parked_job_is_due_only_after_unpark,
    jobs::job_with_50000_records_is_stored,
    jobs::changed_request_is_stored,
    record_orders::newer_delivery_supersedes_older,
    record_orders::abandoned_claim_is_taken_over,
    record_orders::order_of_record_expires,
    record_orders::concurrent_claims_have_one_holder,
    record_orders::thousand_records_are_claimed_together,
    shared::lock_has_one_holder,
    shared::concurrent_locks_have_one_winner,
    shared::value_is_written_under_its_lock,
    deliveries::delivery_is_stored_byte_for_byte,
    deliveries::delivery_with_large_attributes_is_stored,
    dead_letters::dead_letters_are_listed_and_deleted,
    deliveries::delivery_is_deleted_when_job_succeeds,
    dead_letters::failed_job_makes_delivery_a_dead_letter,
    dead_letters::parked_job_makes_dead_letter_until_unparked,
    deliveries::shared_delivery_outlives_first_job,
    dead_letters::only_one_of_discard_and_restore_wins,
    dead_letters::restore_skips_newer_dead_letter,
    deliveries::stale_release_deletes_no_delivery,
    dead_letters::stale_release_makes_no_dead_letter,
    deliveries::redelivery_after_expiry_is_stored_again,
    deliveries::success_deletes_earlier_dead_letter,
    deliveries::delivery_is_deleted_beside_its_driver,
    erasure::value_is_erased_everywhere,
    erasure::reference_selects_its_jobs_only,
    erasure::other_jobs_of_a_shared_delivery_stay,
    erasure::erased_job_is_not_written_again,
    erasure::orders_of_records_are_erased,
);

/// Tests that change the stored data directly, which is impossible in memory.
mod unreadable {
    #[tokio::test]
    async fn in_file() {
        super::due_jobs::unreadable_job_is_parked(&super::Fixture::in_file()).await;
    }

    #[tokio::test]
    async fn in_dynamodb() {
        super::due_jobs::unreadable_job_is_parked(&super::Fixture::in_dynamodb().await).await;
    }
}
