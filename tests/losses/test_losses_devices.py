"""The laws of pair_devices.py, run with two fake devices."""


def test_pair_losses_on_two_devices(on_two_devices):
    on_two_devices("pair_devices.py")
