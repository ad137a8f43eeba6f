use super::gateway::range_of;

#[test]
fn ranges_of_a_block() {
    assert_eq!(range_of("bytes=0-3", 10), Some((0, 4)));
    assert_eq!(range_of("bytes=4-", 10), Some((4, 10)));
    assert_eq!(range_of("bytes=-3", 10), Some((7, 10)));
    assert_eq!(range_of("bytes=-30", 10), Some((0, 10)));
    assert_eq!(range_of("bytes=8-99999999999999999999999", 10), Some((8, 10)));
    for none in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"] {
        assert_eq!(range_of(none, 10), None, "{none}");
    }
    for whole in ["bytes=3-1", "bytes=0-1,4-5", "bytes=", "bytes=a-b", "bytes=--3", "lines=0-1", "bytes=-"] {
        assert_eq!(range_of(whole, 10), Some((0, 10)), "{whole}");
    }
}
