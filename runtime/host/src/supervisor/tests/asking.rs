//! What a person asks of a worker, and how who asks learns what came of it.

use super::*;
use crate::shard_worker::GiveUpRequest;

/// The wish to give records up that a worker heard; what else it was asked is passed over.
async fn heard(worker: &mut Played) -> GiveUpRequest {
    loop {
        match worker.directives.recv().await {
            Some(Directive::GiveUp(request)) => return request,
            Some(_) => {}
            None => panic!("the supervisor lives"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn records_are_given_up_pending_or_left_as_their_worker_told_and_not_where_none_took_them() {
    let mut test = Test::new();
    let [mut first, second] = test.workers().await;
    let (supervisor, unit) = (test.supervisor.clone(), first.unit);
    let give_up = || {
        let supervisor = supervisor.clone();
        let positions = vec![Ordinal(1), Ordinal(2), Ordinal(3)];
        tokio::spawn(async move { supervisor.give_up(unit, positions, "me".into()).await })
    };

    // It does not listen, and what it has room for is the supervisor's.
    for _ in 0..2 * limits::DIRECTIVES_MAX {
        assert_eq!(supervisor.waiting(unit, None, 9).await, None);
    }
    assert_eq!(give_up().await.expect("no panic"), None);

    while first.directives.try_recv().is_ok() {}

    // It is at it for longer than anybody waits.
    let asked = give_up();
    let request = heard(&mut first).await;
    request.told.try_send(true).expect("room for all");
    request.told.try_send(false).expect("room for all");
    let expected = GivenUp {
        letters: 1,
        others: 1,
        pending: 1,
        left: 0,
    };
    assert_eq!(asked.await.expect("no panic"), Some(expected));

    // It ends before the last one's turn.
    let asked = give_up();
    let request = heard(&mut first).await;
    request.told.try_send(true).expect("room for all");
    drop(request);
    let expected = GivenUp {
        letters: 1,
        left: 2,
        ..GivenUp::default()
    };
    assert_eq!(asked.await.expect("no panic"), Some(expected));

    // Nobody runs the unit any more.
    let hold = supervisor.hold(vec![unit.mapping]);
    let ends = async { tokio::join!(first.drains(), second.drains()) };
    let (_hold, _) = tokio::join!(hold, ends);
    assert_eq!(give_up().await.expect("no panic"), None);
}
