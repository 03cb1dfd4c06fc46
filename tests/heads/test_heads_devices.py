"""The laws of head_devices.py, run with eight fake devices."""


def test_summations_on_eight_devices(on_fake_devices):
    on_fake_devices("head_devices.py", 8)
