"""The population of model calls: every request of every feature and day, whether its trace is kept
or not.

Token counts are lognormal and arrivals follow an hour-of-day profile, as in public request traces
(Azure 2023 conversations: sigma of log input 0.99, of log output 0.86; Mooncake: 1.20, and 37% of
prompt blocks seen before). Drawn by numpy from a generator seeded by (seed, day, traffic), so a day
is the same whenever it is made, and a demo started later only adds days.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from portal.demo import cases, events
from portal.demo.company import PROJECTS
from portal.demo.features import FEATURES, DemoFeature, Traffic
from portal.demo.models import MODELS
from portal.demo.settings import DemoSettings, at

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# What a retrieval asks first, where the project is OpenAI's.
EMBEDDING_MODEL = "text-embedding-3-large"

# Requests by hour of the UTC day, relative.
_HOURS = {
    "us": (3, 2, 2, 1, 1, 1, 2, 3, 4, 5, 6, 7, 9, 12, 14, 15, 15, 14, 14, 13, 11, 8, 6, 4),
    "eu": (1, 1, 1, 1, 2, 4, 9, 13, 15, 15, 14, 12, 13, 14, 12, 9, 6, 4, 3, 2, 2, 1, 1, 1),
    "flat": (1,) * 24,
    "night": (2, 9, 12, 10, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
}
_WEEKEND = {"us": 0.45, "eu": 0.22, "flat": 1.0, "night": 0.9}
_GROWTH_PER_DAY = 0.0014  # about 4% a month
TAIL_PROBABILITY = 0.1  # of a trace that is neither slow nor in error, where the tail is sampled
SLOW = 2.5  # times the usual latency: kept by a sampler at the tail
_LONGEST_INPUT = 190_000  # below the next price tier of every demo model


@dataclass(frozen=True)
class Kept:
    """Calls whose trace is kept, call by call; `request` numbers the requests, `step` the calls of
    one request.
    """

    request: Ints
    step: Ints
    start: Floats  # seconds of the day; of the request, not of the call
    uncached: Ints
    cache_read: Ints
    cache_write: Ints
    output: Ints
    reasoning: Ints
    embedding: Ints  # tokens of the retrieval's own call, on the first step of a rag request
    failed: Flags
    retried: Flags  # a first attempt failed, this is the second
    loses_usage: Flags
    probability: Floats  # of the request's trace being kept
    speed: Floats  # factor on the model's latency
    random: NDArray[np.uint64]  # five columns: trace id (2), root span, span base, free


@dataclass(frozen=True)
class TrafficDay:
    """What one feature asked one model on one day: the population's token sums, and the calls whose
    trace is kept.
    """

    feature: DemoFeature
    traffic: Traffic
    day: date
    requests: int
    tokens: dict[str, int]  # by token class
    embedding_tokens: int
    kept: Kept


def traffic_days(settings: DemoSettings, days: list[date]) -> Iterator[TrafficDay]:
    """Every feature's traffic on these days, day by day."""
    for day in days:
        number = 0
        for feature in FEATURES:
            for traffic in cases.traffic(feature, settings):
                number += 1
                if events.is_running(traffic, day, settings):
                    yield _traffic_day(settings, feature, traffic, number, day)


def keep_probability(settings: DemoSettings, traffic: Traffic, day: date) -> float:
    """The probability that a request's trace is kept at the head."""
    if settings.sampling == "declared":
        project, begins = events.incident_sampling(settings)
        more = events.INCIDENT_SAMPLING if traffic.project == project and day >= begins else 1
        return min(1.0, more / traffic.keep_one_in)
    return 1.0 if isinstance(settings.sampling, str) else settings.sampling


def expected_requests(settings: DemoSettings, traffic: Traffic, day: date) -> float:
    requests = traffic.requests * settings.scale
    if settings.sampling != "declared":
        requests /= traffic.keep_one_in
    if day.weekday() >= 5:
        requests *= _WEEKEND[traffic.rhythm]
    if traffic.rhythm == "flat":
        return requests
    return requests * (1.0 + _GROWTH_PER_DAY * (day - settings.first_day).days)


@dataclass(frozen=True)
class _Asked:
    """Every call of a day's requests, in columns; `start` is its request's."""

    request: Ints
    step: Ints
    start: Floats
    uncached: Ints
    read: Ints
    write: Ints
    output: Ints
    embedding: Ints
    failed: Flags
    retried: Flags


def _traffic_day(
    settings: DemoSettings, feature: DemoFeature, traffic: Traffic, number: int, day: date
) -> TrafficDay:
    rng = np.random.Generator(np.random.PCG64([settings.seed, day.toordinal(), number]))
    requests = int(rng.poisson(expected_requests(settings, traffic, day)))
    asked = _asked(rng, settings, feature, traffic, day, _arrivals(rng, traffic.rhythm, requests))
    probability = np.full(requests, keep_probability(settings, traffic, day))
    speed: Floats | None = None
    if settings.sampling == "tail":
        draws = np.random.Generator(np.random.PCG64([settings.seed, day.toordinal(), number, 1]))
        speed = _speeds(draws, traffic, day, settings, asked.start)
        probability[~_stands_out(asked, traffic, speed, requests)] = TAIL_PROBABILITY
    keep = (rng.random(requests) < probability)[asked.request]
    if settings.lost:
        keep &= rng.random(len(asked.request)) >= settings.lost
    keep &= traffic.traced
    kept = _kept(rng, settings, traffic, day, asked, keep, probability, speed)
    tokens = {
        "input": int(asked.uncached.sum()),
        "cache_read": int(asked.read.sum()),
        "cache_write": int(asked.write.sum()),
        "output": int(asked.output.sum()),
    }
    return TrafficDay(feature, traffic, day, requests, tokens, int(asked.embedding.sum()), kept)


def _asked(
    rng: np.random.Generator,
    settings: DemoSettings,
    feature: DemoFeature,
    traffic: Traffic,
    day: date,
    start: Floats,
) -> _Asked:
    """The calls of requests that start so."""
    requests = len(start)
    calls = np.ones(requests, np.int64)
    if traffic.shape == "agent":
        calls += rng.poisson(traffic.calls - 1.0, requests)
    request = np.repeat(np.arange(requests), calls)
    step = np.arange(len(request)) - np.repeat(np.cumsum(calls) - calls, calls)
    uncached, read, write, output = _tokens(
        rng, feature, traffic, day, settings, step, calls[request]
    )
    failed, retried = _failures(rng, feature, traffic, day, settings, start[request])
    for column in (uncached, read, write, output):
        column[failed] = 0
    embedding = np.zeros(len(request), np.int64)
    if traffic.shape == "rag" and PROJECTS[traffic.project].source == "openai":
        embedding = np.where(step == 0, rng.integers(12, 90, len(request)), 0)
    return _Asked(
        request, step, start[request], uncached, read, write, output, embedding, failed, retried
    )


def _stands_out(asked: _Asked, traffic: Traffic, speed: Floats, requests: int) -> Flags:
    """Of each request: whether it is slow or has an error, so that a sampler at the tail keeps
    it.
    """
    late = _latency_ms(traffic, asked.uncached, asked.output) * speed
    errors = np.bincount(asked.request, weights=asked.failed | asked.retried, minlength=requests)
    latency = np.bincount(asked.request, weights=late, minlength=requests)
    flags: Flags = (errors > 0) | (latency > SLOW * _usual_latency_ms(traffic))
    return flags


def _kept(
    rng: np.random.Generator,
    settings: DemoSettings,
    traffic: Traffic,
    day: date,
    asked: _Asked,
    keep: Flags,
    probability: Floats,
    speed: Floats | None,
) -> Kept:
    """The calls whose trace is kept. What is drawn for each is drawn in this order."""
    size = int(keep.sum())
    loses_usage = np.zeros(size, bool)
    if not settings.complete:
        loses_usage = rng.random(size) < traffic.missing_usage
    output = asked.output[keep]
    reasoning = np.zeros(size, np.int64)
    if thinks := MODELS[traffic.model].thinks:
        reasoning = (output * np.clip(rng.normal(thinks, 0.08, size), 0, 0.9)).astype(np.int64)
    if speed is None:
        own_speed = _speeds(rng, traffic, day, settings, asked.start[keep])
    else:
        own_speed = speed[keep]
    return Kept(
        request=asked.request[keep],
        step=asked.step[keep],
        start=asked.start[keep],
        uncached=asked.uncached[keep],
        cache_read=asked.read[keep],
        cache_write=asked.write[keep],
        output=output,
        reasoning=reasoning,
        embedding=asked.embedding[keep],
        failed=asked.failed[keep],
        retried=asked.retried[keep],
        loses_usage=loses_usage,
        probability=probability[asked.request][keep],
        speed=own_speed,
        random=rng.integers(1, 2**64 - 1, (size, 5), dtype=np.uint64),
    )


def _arrivals(rng: np.random.Generator, rhythm: str, requests: int) -> Floats:
    """Seconds of the day, ascending, by the rhythm's hourly profile."""
    hours = np.array(_HOURS[rhythm], float)
    reached = np.concatenate([[0.0], np.cumsum(hours) / hours.sum()])
    return np.sort(np.interp(rng.random(requests), reached, np.arange(25) * 3600.0)).clip(
        0, 86399.0
    )


def _tokens(
    rng: np.random.Generator,
    feature: DemoFeature,
    traffic: Traffic,
    day: date,
    settings: DemoSettings,
    step: Ints,
    calls: Ints,
) -> tuple[Ints, Ints, Ints, Ints]:
    """(uncached, cache read, cache write, output) of each call."""
    size = len(step)
    longer, wordier = events.token_factors(feature, day, settings)
    total = traffic.input_median * longer * np.exp(rng.normal(0.0, traffic.spread, size))
    if traffic.shape == "agent":  # the context grows with each step
        total *= 0.55 + 0.9 * (step / np.maximum(calls, 1))
    longest = 2_000_000 if traffic.shape == "embed" else _LONGEST_INPUT
    whole = np.clip(total, 8, longest).astype(np.int64)
    read = np.zeros(size, np.int64)
    write = np.zeros(size, np.int64)
    if traffic.cached:
        hit = (step > 0) if traffic.shape == "agent" else rng.random(size) < 0.8
        share = np.clip(traffic.cached * rng.uniform(0.75, 1.12, size), 0, 0.97)
        read = np.where(hit, (whole * share).astype(np.int64), 0)
        if traffic.reads_shared_cache:
            read = (whole * share).astype(np.int64)
        elif MODELS[traffic.model].writes_cache:
            write = np.where(hit, (whole - read) // 3, (whole * share).astype(np.int64))
    output = np.zeros(size, np.int64)
    if traffic.output_median:
        spread = min(0.86, traffic.spread + 0.1)
        output = np.clip(
            traffic.output_median * wordier * np.exp(rng.normal(0.0, spread, size)), 1, 16_000
        ).astype(np.int64)
    return whole - read - write, read, write, output


def _failures(
    rng: np.random.Generator,
    feature: DemoFeature,
    traffic: Traffic,
    day: date,
    settings: DemoSettings,
    start: Floats,
) -> tuple[Flags, Flags]:
    """(failed for good, answered at the second attempt) of each call."""
    size = len(start)
    fails, retries = np.full(size, 0.0025), np.full(size, 0.008)
    for slug, begins, ends in (events.error_burst(settings), events.earlier_error_burst(settings)):
        if feature.slug == slug:
            inside = _between(day, start, begins, ends)
            fails[inside], retries[inside] = 0.22, 0.3
    draw = rng.random(size)
    failed = draw < fails
    return failed, ~failed & (draw < fails + retries)


def _speeds(
    rng: np.random.Generator, traffic: Traffic, day: date, settings: DemoSettings, start: Floats
) -> Floats:
    speeds: Floats = np.exp(rng.normal(0.0, 0.35, len(start))) * _slowness(
        traffic, day, settings, start
    )
    return speeds


def _latency_ms(traffic: Traffic, uncached: Ints, output: Ints) -> Floats:
    """Of each call, at the model's ordinary speed."""
    model = MODELS[traffic.model]
    return model.first_token_ms + uncached * 0.012 + output * model.ms_per_token


def _usual_latency_ms(traffic: Traffic) -> float:
    """Of a request of this traffic."""
    model = MODELS[traffic.model]
    call = (
        model.first_token_ms
        + traffic.input_median * 0.012
        + traffic.output_median * model.ms_per_token
    )
    return call * traffic.calls


def _slowness(traffic: Traffic, day: date, settings: DemoSettings, start: Floats) -> Floats:
    model, begins = events.latency_regression(settings)
    slow = np.ones(len(start))
    if traffic.model == model:
        slow[_between(day, start, begins, begins + timedelta(days=3650))] = 2.8
    return slow


def _between(day: date, start: Floats, begins: datetime, ends: datetime) -> Flags:
    midnight = at(day)
    flags: Flags = (start >= (begins - midnight).total_seconds()) & (
        start < (ends - midnight).total_seconds()
    )
    return flags
