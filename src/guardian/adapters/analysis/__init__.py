"""The analysis libraries: fairlearn, evidently, shap. Each is imported inside the function that uses it."""
