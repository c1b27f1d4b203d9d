use super::*;

fn key(load: u64, mapping: &str) -> WarmKey {
    WarmKey {
        load,
        mapping: mapping.into(),
    }
}

fn pool(slots: usize) -> WarmPool<u32> {
    WarmPool::new(slots, Duration::from_secs(10))
}

fn kept(pool: &WarmPool<u32>, key: WarmKey, instance: u32, now: Instant) {
    pool.reserve();
    pool.put(key, instance, now);
}

#[test]
fn an_instance_returns_to_its_version_and_mapping_only() {
    let (pool, now) = (pool(8), Instant::now());
    kept(&pool, key(1, "a"), 10, now);
    assert_eq!(pool.take(&key(2, "a")), None);
    assert_eq!(pool.take(&key(1, "b")), None);
    assert_eq!(pool.take(&key(1, "a")), Some(10));
    assert_eq!(pool.take(&key(1, "a")), None);
    assert_eq!(pool.counts(), (1, 0));
}

#[test]
fn at_most_half_of_the_slots_idle_and_the_oldest_goes_first() {
    let (pool, now) = (pool(4), Instant::now());
    for n in 0..3 {
        kept(&pool, key(n, "a"), u32::try_from(n).unwrap(), now);
    }
    assert_eq!(pool.counts(), (2, 2));
    assert_eq!(pool.take(&key(0, "a")), None);
    assert_eq!(pool.take(&key(2, "a")), Some(2));
}

#[test]
fn a_new_store_takes_the_slot_of_the_longest_idle_one_when_all_are_taken() {
    let (pool, now) = (pool(4), Instant::now());
    kept(&pool, key(1, "a"), 1, now);
    kept(&pool, key(2, "a"), 2, now);
    for _ in 0..3 {
        pool.reserve();
    }
    assert_eq!(pool.counts(), (4, 1));
    assert_eq!(pool.take(&key(1, "a")), None);
    assert_eq!(pool.take(&key(2, "a")), Some(2));
}

#[test]
fn idle_instances_expire_and_the_next_expiry_is_named() {
    let (pool, now) = (pool(8), Instant::now());
    kept(&pool, key(1, "a"), 1, now);
    kept(&pool, key(1, "a"), 2, now + Duration::from_secs(4));
    assert_eq!(
        pool.expire(now + Duration::from_secs(9)),
        Some(now + Duration::from_secs(10))
    );
    assert_eq!(
        pool.expire(now + Duration::from_secs(10)),
        Some(now + Duration::from_secs(14))
    );
    assert_eq!(pool.counts(), (1, 1));
    assert_eq!(pool.expire(now + Duration::from_secs(14)), None);
    assert_eq!(pool.counts(), (0, 0));
}

#[test]
fn unloading_a_version_drops_its_instances_alone() {
    let (pool, now) = (pool(8), Instant::now());
    kept(&pool, key(1, "a"), 1, now);
    kept(&pool, key(2, "a"), 2, now);
    pool.purge(1);
    assert_eq!(pool.counts(), (1, 1));
    pool.clear();
    assert_eq!(pool.counts(), (0, 0));
}
