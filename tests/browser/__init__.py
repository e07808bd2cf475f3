"""
The live page in a real browser: ``make test-browser``, or ``python -m tests.browser``.

Neither pytest nor trial collects what is here, so that they run where there is no browser.
"""
