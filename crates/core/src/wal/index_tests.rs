use super::*;

fn entries(first: u64, count: u64) -> Change {
    Change::Entries { first, count, skip: 0 }
}

/// A log of one segment of 1 MiB (points 4 KiB apart) with ten frames of ten entries.
fn hundred() -> LogIndex {
    let mut index = LogIndex::default();
    index.push(SegmentIndex::new(1, 1 << 20));
    for frame in 0..10_u32 {
        let first = u64::from(frame) * 10 + 1;
        index.apply(entries(first, 10), 8192 + frame * 1000, first + 10);
    }
    index
}

#[test]
fn a_point_stands_at_most_a_stride_before_what_is_looked_for() {
    let index = hundred();
    assert_eq!(index.find(1).unwrap().offset, 8192);
    assert_eq!(index.find(50).unwrap().offset, 8192);
    assert_eq!(index.find(51).unwrap().offset, 8192 + 5000);
    assert_eq!(index.find(100).unwrap().offset, 8192 + 5000);
    assert_eq!(index.find(101), None);
    assert_eq!(index.find(0), None);
}

#[test]
fn after_a_truncate_a_reused_lsn_is_found_behind_the_cut() {
    let mut index = hundred();
    index.apply(Change::Truncate { after: 25 }, 20_000, 26);
    assert_eq!(index.find(26), None);
    index.apply(entries(26, 1), 20_100, 27);
    let place = index.find(26).unwrap();
    assert_eq!((place.offset, place.until), (20_100, 27));
    let before = index.find(25).unwrap();
    assert_eq!((before.offset, before.until), (8192, 26), "the dead 26 is not to be reached");
}

#[test]
fn a_summary_tells_what_the_index_knew() {
    let mut index = hundred();
    index.apply(Change::Truncate { after: 25 }, 20_000, 26);
    index.apply(entries(26, 4), 20_100, 30);
    let active = index.active().unwrap();
    let state = State { first: 3, next: 30, hard_state: None };
    let (first, next, decoded) = SegmentIndex::decode(1, &active.encode(&state)).unwrap();
    assert_eq!((first, next), (3, 30));
    assert_eq!((&decoded.points, decoded.end, decoded.cut), (&active.points, 30, 26));
}

#[test]
fn a_damaged_summary_is_none() {
    let state = State { first: 1, next: 101, hard_state: None };
    let whole = hundred().active().unwrap().encode(&state);
    for len in 0..whole.len() {
        assert_eq!(SegmentIndex::decode(1, &whole[..len]), None, "cut at {len}");
    }
    let mut many = whole;
    many[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(SegmentIndex::decode(1, &many), None);
}

#[test]
fn w1_a_hole_between_segments_is_seen() {
    let whole = State { first: 1, next: 101, hard_state: None };
    let mut index = hundred();
    assert!(index.covers(&whole));
    assert!(!index.covers(&State { next: 102, ..whole.clone() }));
    let mut second = SegmentIndex::new(2, 1 << 20);
    second.add(102, 5, 8192);
    index.push(second);
    assert!(!index.covers(&State { next: 107, ..whole }));
}

#[test]
fn w2_a_purge_drops_whole_segments_in_front_and_never_the_active_one() {
    let mut index = hundred();
    let mut second = SegmentIndex::new(2, 1 << 20);
    second.add(101, 5, 8192);
    index.push(second);
    assert_eq!(index.drop_before(100), Some(1), "LSN 100 is still there");
    assert_eq!(index.drop_before(101), Some(2));
    assert_eq!(index.drop_before(1000), Some(2));
    assert_eq!(index.len(), 1);
}

#[test]
fn a_purge_beyond_the_end_leaves_lsns_out() {
    let mut index = hundred();
    index.apply(Change::Purge { before: 1000 }, 20_000, 1000);
    index.apply(entries(1000, 2), 20_100, 1002);
    let state = State { first: 1000, next: 1002, hard_state: None };
    assert!(index.covers(&state));
    assert_eq!(index.find(100), None);
    assert_eq!(index.find(1001).unwrap().offset, 20_100);
}

#[test]
fn a_cut_in_a_later_segment_reaches_back() {
    let mut index = hundred();
    let mut second = SegmentIndex::new(2, 1 << 20);
    second.add(101, 5, 8192);
    second.cut_from(0);
    second.cut = 50;
    second.force = true;
    second.add(50, 2, 9000);
    index.push(second);
    assert_eq!(index.find(49).unwrap().segment, 1);
    assert_eq!(index.find(50).unwrap().segment, 2);
    assert!(index.covers(&State { first: 1, next: 52, hard_state: None }));
}
