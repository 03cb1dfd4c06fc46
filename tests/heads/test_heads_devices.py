"""Runs the laws of head_devices.py where there are eight (fake) devices."""


def test_ways_to_sum_on_eight_devices(on_fake_devices):
    on_fake_devices("head_devices.py", 8)
