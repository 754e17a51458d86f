"""Those who ask: what they did so far, what it says about them, and what they may have."""
