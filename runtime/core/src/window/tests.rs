//! Where windows begin and end (Lambda ESM specification §11, §20 row 11, §22 row Window).

use super::*;

#[test]
fn windows_are_aligned_to_the_epoch_and_each_moment_is_in_one() {
    for (at, span, start, end) in [
        (0, 1_000, 0, 1_000),
        (999, 1_000, 0, 1_000),
        (1_000, 1_000, 1_000, 2_000),
        (
            1_767_261_599_999,
            120_000,
            1_767_261_480_000,
            1_767_261_600_000,
        ),
        (
            1_767_261_600_000,
            900_000,
            1_767_261_600_000,
            1_767_262_500_000,
        ),
    ] {
        let window = Window::at(Timestamp(at), span);
        assert_eq!((window.start.0, window.end.0), (start, end), "{at}");
        assert_eq!(window.span_ms(), u64::from(span));
    }
}

/// Commit and storage rules §8: a record belongs to the window of max(arrival, closed-through).
#[test]
fn a_record_belongs_to_no_window_that_closed() {
    let open = |start| OpenWindow {
        window: Window::at(Timestamp(start), 100),
        state: Bytes::new(),
        hops: 0,
        last: Ordinal(1),
        groups: 64,
        left_by: None,
    };
    for (closed, is_open, arrival, start) in [
        (0, None, 250, 200),
        (200, None, 250, 200),
        (300, None, 250, 300),
        (1_000, None, 250, 1_000),
        (200, Some(300), 250, 300),
        (200, Some(200), 299, 200),
        (200, Some(200), 300, 300),
    ] {
        let group = GroupWindow {
            version: 1,
            closed_through: Timestamp(closed),
            open: is_open.map(open),
        };
        let window = group.window_of(Timestamp(arrival), 100);
        assert_eq!(window.start.0, start, "{closed} {is_open:?} {arrival}");
    }
}

#[test]
fn a_group_has_one_lane_whatever_the_factor_and_a_key_one_group() {
    for factor in [1_u16, 2, 5, 64, 256] {
        for key in 0..1_000 {
            let group = group_of(KeyHash(key * 7_919), 64);
            assert!(group < 64);
            assert_eq!(u32::from(lane_of(group, factor)), group % u32::from(factor));
        }
    }
}

/// What a call is given is what a retry of it is given: a capture asks the same.
#[test]
fn a_call_has_the_state_of_its_own_window_and_none_behind_one_that_ends_first() {
    let full = Bytes::from(vec![b'x'; limits::WINDOW_STATE_BYTES_MAX as usize + 1]);
    let group = |start, state: &Bytes| GroupWindow {
        version: 1,
        closed_through: Timestamp(0),
        open: Some(OpenWindow {
            window: Window::at(Timestamp(start), 100),
            state: state.clone(),
            hops: 0,
            last: Ordinal(1),
            groups: 64,
            left_by: None,
        }),
    };
    let small = Bytes::from_static(b"s");
    for (known, at, state) in [
        (GroupWindow::default(), 250, &Bytes::new()),
        (group(200, &small), 250, &small),
        (group(200, &small), 350, &Bytes::new()),
        (group(200, &full), 250, &Bytes::new()),
    ] {
        let window = known.window_of(Timestamp(at), 100);
        let call = known.call_in(window);
        assert_eq!((call.window, &call.state), (window, state), "{at}");
        assert!(!call.is_final && !call.is_terminated_early);
    }
    // How the open one ends: early for its size, but not where the mapping has other windows now.
    for (state, span, groups, is_early) in [
        (&small, 100, 64, false),
        (&full, 100, 64, true),
        (&full, 200, 64, false),
        (&full, 100, 8, false),
        (&full, 0, 64, false),
    ] {
        let open = group(200, state).open.expect("it is open");
        assert_eq!(open.ends_early(span, groups), is_early, "{span} {groups}");
        let call = open.last_call(is_early);
        assert_eq!((call.window, &call.state), (open.window, state));
        assert_eq!(
            (call.is_final, call.is_terminated_early),
            (!is_early, is_early)
        );
    }
}
