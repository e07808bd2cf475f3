"""Tests of gamenet.smooth."""
