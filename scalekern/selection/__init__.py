"""Choices made from data: the bandwidth, the kernel, the metric of the inputs."""
