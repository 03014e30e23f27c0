"""The browser library in a real Chromium."""
