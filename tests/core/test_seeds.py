from demiurgic.core.seeds import Seeds, share_of


def test_a_stream_does_not_change_because_another_one_was_read():
    seeds = Seeds(7)
    alone = seeds.stream("mix").random()
    seeds.stream("split").random()
    assert seeds.stream("mix").random() == alone


def test_streams_and_seeds_differ():
    assert len({Seeds(s).number(name) for s in (1, 2) for name in ("a", "b")}) == 4


def test_shares_spread_evenly():
    below = sum(share_of(f"row {i}") < 0.25 for i in range(4000))
    assert 900 < below < 1100
