"""sdfleet: EC2 GPU Auto Scaling groups as an image-generation API, without Kubernetes."""

__version__ = "0.1.0"
