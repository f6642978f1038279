"""A Django view that publishes. As a project in one file: `python django_publish.py runserver`."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from tannoy import Publisher, PublishUnavailable

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for this example alone")
publisher = Publisher()


def ship(request: HttpRequest, order: str) -> JsonResponse:
    """`open()` opens it once for each process of the server, however that was forked."""
    try:
        position = publisher.open().to_room(f"order-{order}", {"status": "shipped"}, key=f"shipped-{order}")
    except PublishUnavailable as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"offset": position.offset if position else 0})


urlpatterns = [path("orders/<order>/shipped", ship)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
