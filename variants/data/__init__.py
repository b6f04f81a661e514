"""The data that models are trained, calibrated and tested on."""
