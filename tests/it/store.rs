//! One suite that every job store passes: SQLite in memory and in a file, and DynamoDB over the wire.

mod bench;
mod deliveries;
mod dynamodb;
mod jobs;
mod model;
mod shared;

use bench::Bench;

/// Each test for each store.
macro_rules! conformance {
    ($($room:ident::$name:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$room::$name(&super::Bench::in_memory()).await;
            })*
        }

        mod in_file {
            $(#[tokio::test]
            async fn $name() {
                super::$room::$name(&super::Bench::in_file()).await;
            })*
        }

        mod in_dynamodb {
            $(#[tokio::test]
            async fn $name() {
                super::$room::$name(&super::Bench::in_dynamodb().await).await;
            })*
        }
    };
}

conformance!(
    jobs::a_job_is_added_once_and_read_as_it_was,
    jobs::clock_jump_is_fenced_by_versions,
    jobs::one_driver_at_a_time,
    jobs::a_stale_lease_writes_nothing,
    jobs::a_lease_can_be_prolonged,
    jobs::of_many_adders_and_drivers_one_wins,
    jobs::due_jobs_are_those_that_nobody_holds,
    jobs::a_lost_driver_makes_its_job_due,
    jobs::jobs_are_listed_page_by_page,
    jobs::finished_jobs_are_forgotten_in_time,
    jobs::a_parked_job_waits_for_a_person,
    jobs::a_job_of_fifty_thousand_records_comes_back_whole,
    jobs::a_request_that_changes_is_kept,
    shared::a_lock_has_one_holder,
    shared::of_many_holders_one_wins,
    shared::value_is_written_under_its_lock,
    deliveries::a_delivery_is_kept_byte_for_byte,
    deliveries::a_delivery_with_large_attributes_is_kept,
    deliveries::deliveries_are_listed_and_forgotten,
    deliveries::a_delivery_is_kept_until_its_job_ends_well,
    deliveries::the_delivery_of_a_job_that_ends_badly_is_a_dead_letter,
    deliveries::the_delivery_of_a_parked_job_is_a_dead_letter_until_it_goes_on,
    deliveries::a_delivery_of_several_jobs_outlives_the_first_end,
    deliveries::a_dead_letter_is_revived_unless_it_died_anew,
    deliveries::a_driver_that_was_overtaken_forgets_no_delivery,
    deliveries::a_driver_that_was_overtaken_buries_no_delivery,
    deliveries::a_delivery_that_comes_again_after_its_time_is_kept_anew,
);

/// These need to reach behind the store.
mod what_cannot_be_read {
    #[tokio::test]
    async fn in_file() {
        super::jobs::what_cannot_be_read_is_parked(&super::Bench::in_file()).await;
    }

    #[tokio::test]
    async fn in_dynamodb() {
        super::jobs::what_cannot_be_read_is_parked(&super::Bench::in_dynamodb().await).await;
    }
}
