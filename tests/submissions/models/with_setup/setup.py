from setuptools import setup

setup(name="model")
