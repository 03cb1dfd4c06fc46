"""Runs the laws of two_devices.py where there are two (fake) devices."""


def test_laws_of_two_devices(on_two_devices):
    on_two_devices("two_devices.py")
