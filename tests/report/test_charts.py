import re

import pytest

from demiurgic.core.metric import Metric
from demiurgic.report.page.charts.bars import Piece, bar, stack
from demiurgic.report.page.charts.intervals import difference_chart, gate_chart
from demiurgic.report.page.charts.lines import MAX_POINTS, Line, Point, line_chart, running_mean, thinned
from demiurgic.report.page.charts.scale import Scale, tick_text
from demiurgic.report.page.charts.scatter import Dot, log_scatter


def falling(num_points: int) -> list[Point]:
    return [Point(step, 10 / step) for step in range(1, num_points + 1)]


def test_a_long_line_is_thinned_to_the_limit_in_order():
    points = thinned(falling(12_345))
    assert MAX_POINTS / 2 < len(points) <= MAX_POINTS
    assert points == sorted(points)


def test_thinning_keeps_the_ends_and_every_extreme():
    points = falling(5000)
    points[1234] = Point(1235, 99.0)
    points[3777] = Point(3778, -5.0)
    kept = thinned(points)
    assert {points[0], points[-1], points[1234], points[3777]} <= set(kept)


def test_a_short_line_is_left_as_it_is():
    assert thinned(falling(MAX_POINTS)) == falling(MAX_POINTS)


def test_a_running_mean_does_not_shift_a_straight_line():
    straight = [Point(x, 3.0 * x) for x in range(50)]
    assert [point.y for point in running_mean(straight, over=9)] == pytest.approx([point.y for point in straight])


def test_ticks_are_round_and_within_the_scale():
    assert Scale(0.0, 1250.0).ticks(4) == [0, 500, 1000]
    assert Scale(1e-5, 0.5, log=True).ticks() == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])


def test_zero_is_drawn_on_the_lower_edge_of_a_logarithmic_scale():
    scale = Scale.over([0.0, 1e-3, 1e-1], log=True)
    assert scale.share(0.0) == 0.0
    assert 0.0 < scale.share(1e-3) < scale.share(1e-1) < 1.0


def test_a_scale_over_one_value_has_room_around_it():
    for values in ([5.0], [0.0], []):
        scale = Scale.over(values)
        assert scale.low < scale.high


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (2000.0, "2,000"), (0.05, "0.05"), (2.5e-4, "2.5e-4"), (1e-5, "1e-5")]
)
def test_numbers_of_an_axis_are_short(value: float, text: str):
    assert tick_text(value) == text


def place(svg: str, css: str) -> float:
    found = re.search(rf'<circle cx="([0-9.]+)%"[^>]*class="dot {css}"', svg)
    assert found
    return float(found[1])


@pytest.mark.parametrize(
    ("value", "lower_is_better", "right"), [(-1, True, True), (-1, False, False), (1, True, False)]
)
def test_right_of_zero_is_better(value: float, lower_is_better: bool, right: bool):
    metric = Metric(value, value - 0.2, value + 0.2, 9)
    svg = difference_chart(metric, lower_is_better=lower_is_better, detectable=0.1, css="good", title="t").text
    assert (place(svg, "good") > 50) == right


def test_models_that_never_differ_get_a_dot_on_zero_and_no_invented_axis():
    svg = difference_chart(Metric.exact(0), lower_is_better=True, detectable=0, css="quiet", title="t").text
    assert place(svg, "quiet") == 50
    assert re.findall(r"<text[^>]*>([^<]*)</text>", svg) == ["0"]


def test_a_gate_shades_what_it_allows():
    metric = Metric(0.5, 0.4, 0.6, 10)
    svg = gate_chart(metric, bounds=[(">=", 0.3), ("<=", 0.9)], passed=True, title="t").text
    found = re.search(r'<rect x="([0-9.]+)%" width="([0-9.]+)%"[^>]*class="allowed"', svg)
    assert found
    assert float(found[1]) < place(svg, "good") < float(found[1]) + float(found[2])


def test_a_chart_says_in_words_what_it_shows():
    line = Line("student", falling(30), 1, marked=True, best=Point(30, 10 / 30))
    text = line_chart([line], title="Loss", unit="nats", description="From 10 to 0.333.").text
    assert "<title>Loss</title><desc>From 10 to 0.333.</desc>" in text
    assert "student: best at step 30: 0.3333" in text


def test_series_differ_by_more_than_colour():
    lines = [Line(name, falling(5), position, marked=True) for position, name in enumerate("abc")]
    text = line_chart(lines, title="t", unit="", description="").text
    assert "<circle" in text
    assert "rotate(45)" in text
    assert all(f'class="line s{position}"' in text for position in range(3))


def test_a_point_of_a_scatter_shows_its_numbers_and_its_limit():
    dot = Dot("q8_0", 8.5, Metric(3e-4, 2e-4, 4e-4, 64), 1e-3, "8.5 bits, KL 0.0003")
    text = log_scatter([dot], title="t", unit="", x_label="bits", description="").text
    assert "8.5 bits, KL 0.0003" in text
    assert "q8_0: limit 0.001" in text


def test_bars_are_shares_of_the_longest_and_stacks_of_the_whole():
    assert 'width="25.00%"' in bar(1, of=4, css="time", title="t").text
    assert 'width="0.00%"' in bar(0, of=0, css="time", title="t").text
    widths = re.findall(
        r'width="([0-9.]+)%" height="22" class="piece', stack([Piece("a", 3, "p0"), Piece("b", 1, "p1")], title="").text
    )
    assert widths == ["75.00", "25.00"]
