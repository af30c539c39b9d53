//! The database file of a running server: deleted, or full of expired jobs at the start.

use super::*;

#[tokio::test]
async fn deleted_database_returns_503_until_restored() {
    let world = served().await;
    world.submit(&form("e0", &[world.id("Leads", 0)])).await;
    let database = world.data().join("masshook.db");
    let aside = world.data().join("aside");
    std::fs::rename(&database, &aside).expect("moved");
    let delivery = form("e1", &[world.id("Leads", 1)]);
    let answer = world.deliver(&delivery).await.expect("an answer");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.retry_after() > Some(0), "{answer:?}");
    world
        .wait_for_log(|line| line.contains("was deleted or replaced"))
        .await;
    std::fs::rename(&aside, &database).expect("restored");
    let job = world.submit(&delivery).await;
    assert_eq!(world.wait_for_job(&job[0]).await["status"], "succeeded");
}

/// The server answers and works while it deletes them.
#[tokio::test]
async fn expired_jobs_do_not_delay_start() {
    let mut world = served().await;
    world.signal("TERM");
    world.wait_for_exit().await;
    let database = Connection::open(world.data().join("masshook.db")).expect("opened");
    database
        .execute_batch(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
             INSERT INTO jobs (id, version, leased_until, ended, connection, module, status, created_at, finished_at,
                               listed, state)
             SELECT 'job_' || n, 1, 0, n, 'default', 'Leads', 'succeeded', n, n, printf('%015d#job_%d', n, n), '{}'
             FROM numbers;
             INSERT INTO requests (id, stored) SELECT id, '{}' FROM jobs;",
        )
        .expect("filled");
    let left = || {
        let count = "SELECT count(*) FROM jobs WHERE ended <= 20000";
        database.query_row(count, [], |row| row.get::<_, u32>(0))
    };
    world.start(&[]).await;
    let job = world.submit(&form("e1", &[world.id("Leads", 1)])).await;
    assert!(left().expect("a number") > 0, "not all at once");
    assert_eq!(world.wait_for_job(&job[0]).await["status"], "succeeded");
    let over = std::time::Instant::now() + Duration::from_secs(60);
    let before = left().expect("a number");
    while left().expect("a number") == before {
        assert!(std::time::Instant::now() < over, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
