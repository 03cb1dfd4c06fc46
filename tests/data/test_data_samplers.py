"""An epoch visits every class and example, in batches made up as asked for."""

import warnings
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from configs import defaults
from nfml_jax.data.samplers import make_sampler
from nfml_jax.errors import UserError
from nfml_jax.training.feeds import ResidentFeed
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import AXIS, make_mesh

# Classes' sizes; batch size, K.
CASES = {
    "filled up": ([3, 17, 8, 4, 9, 5, 11], 12, 3),
    "one large": ([40, 4, 4, 4, 4], 8, 4),
    "smaller than K": ([2, 3, 9, 9], 12, 4),
}


def labels_of(sizes):
    """Labels in a random order, with a gap in their numbers."""
    labels = np.repeat(np.arange(len(sizes)) * 2, sizes)
    return np.random.default_rng(0).permutation(labels)


def epochs(labels, batch_size, count=1, **options):
    """Batches [count, steps, batch_size] of example numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = make_sampler(labels, **options)(batch_size)
    keys = jax.random.split(jax.random.key(0), count)
    orders = np.asarray(jax.jit(partial(jax.lax.map, sampler.order))(keys))
    orders = orders[:, : sampler.steps * batch_size]
    return orders.reshape(count, sampler.steps, batch_size)


@pytest.mark.parametrize("case", CASES)
def test_an_epoch_by_class_visits_every_example_in_whole_groups(case):
    sizes, batch_size, k = CASES[case]
    labels = labels_of(sizes)
    batches = epochs(labels, batch_size, per_class=k)[0]
    visits = np.bincount(batches.ravel(), minlength=len(labels))
    assert visits.min() >= 1

    groups = batches.reshape(len(batches), -1, k)
    classes = labels[groups]
    assert (classes == classes[..., :1]).all()
    # No more batches than the classes' groups fill.
    needed = -(-np.array(sizes) // k)
    assert len(batches) == -(-needed.sum() // (batch_size // k))
    # A batch repeats a class only where the class has more groups than there are
    # batches, and then as seldom as possible.
    for batch in classes[..., 0]:
        _, times = np.unique(batch, return_counts=True)
        assert times.max() <= max(1, -(-needed.max() // len(batches)))
    # Within a group an example comes twice only if the class is smaller.
    for group, label in zip(
        groups.reshape(-1, k), classes[..., 0].ravel(), strict=True
    ):
        assert len(np.unique(group)) == min(k, sizes[label // 2])
    # Nor more often in an epoch than filling up takes.
    extra = len(batches) * batch_size // k - needed.sum()
    assert visits.sum() - len(labels) == (needed * k - sizes).sum() + extra * k


def test_a_balanced_epoch_has_each_class_equally_often():
    labels, batch_size = labels_of([50, 3, 7]), 10
    batches = epochs(labels, batch_size, 9, name="balanced")
    assert batches[0].size >= len(labels)
    for epoch in batches:
        assert np.ptp(np.bincount(labels[epoch.ravel()])[::2]) <= batch_size
        assert np.isin(np.flatnonzero(labels != 0), epoch).all()
    # What is not seen of a large class comes in another epoch.
    assert len(np.unique(batches)) == len(labels)


def test_a_sequential_epoch_is_the_examples_as_they_came():
    batches = epochs(np.zeros(7, int), 3, name="sequential")
    np.testing.assert_array_equal(batches.ravel(), [0, 1, 2, 3, 4, 5, 6, 0, 1])


def test_classes_meet_others_on_any_row():
    sizes = np.array([90] + [10] * 9)
    labels = np.repeat(np.arange(10), sizes)
    classes = labels[epochs(labels, 6, 4, per_class=2)][..., ::2].reshape(-1, 3)
    met = np.zeros((10, 10), int)
    for batch in classes:
        met[np.ix_(batch, batch)] += 1
    assert (met > 0).mean() > 0.6
    # The first rows of a batch don't prefer the large class.
    share = (classes == 0).mean(axis=0)
    assert abs(share - share.mean()).max() < 0.1


def test_the_feed_gives_rows_by_the_step_alone_on_any_number_of_devices():
    labels = labels_of([9, 10, 6, 7])
    arrays = {"row": np.arange(len(labels), dtype=np.int32)}
    sampler = make_sampler(labels, per_class=2)
    parts = arrays, 8, jax.random.key(3), make_mesh(jax.devices()[:1])
    feed = ResidentFeed(*parts, ahead=4, sampler=sampler)

    @partial(jax.jit, static_argnums=2)
    def rows(chunk, step, devices):
        def take(_):
            return feed.take(feed.resident, chunk, step)[0]["row"]

        return jax.vmap(take, axis_name=AXIS)(np.arange(devices))

    assert feed.examples == feed.steps_per_epoch * 8 >= len(labels)
    steps = range(2 * feed.steps_per_epoch)
    one = np.concatenate([rows(feed.chunk(step), step, 1) for step in steps])
    two = np.stack([rows(feed.chunk(step), step, 2) for step in steps])
    np.testing.assert_array_equal(one, two.reshape(one.shape))
    # Either device has whole groups.
    np.testing.assert_array_equal(labels[two[..., ::2]], labels[two[..., 1::2]])
    first, second = np.split(one, 2)
    assert set(first.ravel()) == set(second.ravel()) == set(range(len(labels)))
    assert (first != second).any()
    # One dispatch may begin at any step, and go on into the next epoch; so may a run.
    for begin in (2, 0, feed.steps_per_epoch - 1):
        chunk = feed.chunk(begin)
        for step in range(begin, begin + 4):
            np.testing.assert_array_equal(rows(chunk, step, 1)[0], one[step])


def test_a_run_takes_the_sampler_of_its_experiment():
    experiment = SimpleNamespace(
        best=None,
        whole_batch=False,
        train_arrays={"row": np.arange(30)},
        sampler=make_sampler(labels_of([9, 10, 11]), per_class=2),
        init=lambda key: {"params": {"w": np.zeros(2)}},
    )
    config = defaults.training("made up", "made up").to_dict()
    config["train"] |= {"batch_size": 6, "total": "2 epochs"}
    config["optimizer"]["warmup"] = None
    setup = Setup(lambda config: experiment, config, jax.devices()[:1])
    # 5 + 5 + 6 groups of 2, three in a batch.
    assert setup.feed.steps_per_epoch == 6 and setup.schedule.total == 12


@pytest.mark.parametrize(
    "sizes, per_class, accumulate, batch",
    [
        ([40, 40], None, 1, 64),
        ([10, 10], None, 1, 16),
        ([2, 1], None, 1, 2),
        ([20, 20, 20], 4, 1, 8),  # two of three classes with four rows each
        ([9, 9, 9, 9], 2, 4, 8),
    ],
)
def test_a_batch_without_a_size_is_as_large_as_the_data_fill(
    sizes, per_class, accumulate, batch
):
    labels = labels_of(sizes)
    experiment = SimpleNamespace(
        best=None,
        whole_batch=False,
        train_arrays={"row": np.arange(len(labels))},
        sampler=make_sampler(labels, per_class=per_class),
        init=lambda key: {"params": {"w": np.zeros(2)}},
    )
    config = defaults.training("made up", "made up").to_dict()
    config["train"] |= {"batch_size": None, "accumulate": accumulate}
    config["optimizer"]["warmup"] = None
    setup = Setup(lambda config: experiment, config, jax.devices()[:1])
    assert setup.feed.batch_size == batch == setup.settings.train.batch_size
    # A size that is given is kept, or refused.
    config["train"]["batch_size"] = 2 * len(labels)
    with pytest.raises(UserError, match=r"train\.batch_size = "):
        Setup(lambda config: experiment, config, jax.devices()[:1])


def test_batches_that_the_data_cannot_fill_are_refused():
    labels = labels_of([9, 2, 5])
    names = "abcde"
    with pytest.warns(UserWarning, match="1 of 3 classes, such as 'c', have fewer"):
        sampler = make_sampler(labels, per_class=4, class_names=names)
    with pytest.raises(
        UserError, match=r"takes 4 classes, but there are 3; set .* 12,"
    ):
        sampler(16)
    with pytest.raises(UserError, match=r"10 is not a multiple of .* 4"):
        sampler(10)
    with pytest.warns(UserWarning, match="a batch may have 2 groups of one"):
        make_sampler(labels_of([30, 2, 2]), per_class=2)(4)
    with pytest.raises(
        UserError, match="1 of 2 classes, such as 'c', have one example"
    ):
        make_sampler(labels_of([3, 1]), per_class=2, class_names=names)
    with pytest.raises(UserError, match="'random' is not known; expected shuffled"):
        make_sampler(labels, name="random")
    for bad in ({"per_class": -1}, {"name": "sequential", "per_class": 2}):
        with pytest.raises(UserError, match=r"sampler\.per_class"):
            make_sampler(labels, **bad)
