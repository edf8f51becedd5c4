"""The same job as the tutorials of Django and Django REST framework show it."""
