"""Tests of gamenet.overlay."""
