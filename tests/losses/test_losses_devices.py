"""Runs the laws of pair_devices.py where there are two (fake) devices."""


def test_pair_losses_on_two_devices(on_two_devices):
    on_two_devices("pair_devices.py")
