from collections import Counter

from wsapp.metrics import Histogram, LastMinute, Metrics, render


def test_text() -> None:
    metrics = Metrics(
        info={"process": 'ws "0"\\', "loop": "a\nb"},
        max_connections=5,
        open=2,
        draining=True,
        handshakes=Counter({"503": 1, "101": 7}),
        closes=Counter({"1000": 3}),
        loop_lag=Histogram((0.1, 1.0)),
    )
    for lag in (0.1, 0.25, 4.0):
        metrics.loop_lag.observe(lag)
    text = render(metrics, {"process_cpu_seconds_total": 1.5, "process_open_fds": 12.0})
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        r'wsapp_info{process="ws \"0\"\\",loop="a\nb"} 1',
        "wsapp_connections 2",
        "wsapp_connections_max 5",
        "wsapp_draining 1",
        'wsapp_handshakes_total{result="101"} 7',
        'wsapp_handshakes_total{result="503"} 1',
        'wsapp_closes_total{code="1000"} 3',
        'wsapp_event_loop_lag_seconds_bucket{le="0.1"} 1',
        'wsapp_event_loop_lag_seconds_bucket{le="1"} 2',
        'wsapp_event_loop_lag_seconds_bucket{le="+Inf"} 3',
        "wsapp_event_loop_lag_seconds_sum 4.35",
        "wsapp_event_loop_lag_seconds_count 3",
        "wsapp_event_loop_lag_last_minute_seconds 0",
        "wsapp_rooms 0",
        'wsapp_room_messages_total{way="lost"} 0',
        'wsapp_room_messages_total{way="received"} 0',
        'wsapp_room_messages_total{way="sent"} 0',
        "wsapp_room_slow_members_total 0",
        "wsapp_broker_away 0",
        "process_cpu_seconds_total 1.5",
        "process_open_fds 12",
    ]
    assert "# TYPE process_cpu_seconds_total counter\n" in text
    assert "# TYPE wsapp_connections gauge\n" in text
    assert text.endswith("\n")


def test_the_last_minute() -> None:
    now = [1000.5]
    minute = LastMinute(lambda: now[0])
    minute.count("1006")
    minute.observe(0.5)
    now[0] += 40
    minute.count("1006")
    minute.count("1000")
    minute.observe(0.2)
    minute.observe(0.1)
    assert minute.counts() == {"1006": 2, "1000": 1}
    assert minute.greatest() == 0.5
    now[0] += 21
    assert minute.counts() == {"1006": 1, "1000": 1}
    assert minute.greatest() == 0.2
    now[0] += 60
    assert not minute.counts()
    assert not minute.greatest()
    assert not minute.seconds, "what is old takes no memory"


def test_events_count_for_good_and_for_the_last_minute() -> None:
    metrics = Metrics()
    metrics.count_handshake("101")
    metrics.count_close("1006")
    metrics.observe_lag(0.25)
    text = render(metrics, {})
    for line in (
        'wsapp_handshakes_total{result="101"} 1',
        'wsapp_handshakes_last_minute{result="101"} 1',
        'wsapp_closes_total{code="1006"} 1',
        'wsapp_closes_last_minute{code="1006"} 1',
        "wsapp_event_loop_lag_last_minute_seconds 0.25",
    ):
        assert f"{line}\n" in text
