"""`helm test`: what was installed is ready, and the API server serves what it is there for.

Arguments: group and version of the resource at the API server, its plural, and the URLs of each
/readyz.
"""

import json
import ssl
import sys
import time
import urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
API_SERVER = "https://kubernetes.default.svc"
PATIENCE_SECONDS = 45.0


def ready(url: str) -> None:
    """Waits: network policies may not know yet that this pod is let in."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=3):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"{url}: {error}")
        time.sleep(0.5)


def served(group: str, plural: str) -> None:
    """Discovery, which every ServiceAccount may ask for."""
    with open(f"{ACCOUNT}/token") as token:
        headers = {"Authorization": f"Bearer {token.read()}"}
    request = urllib.request.Request(f"{API_SERVER}/apis/{group}", headers=headers)
    trust = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
        names = [resource["name"] for resource in json.load(answer)["resources"]]
    if plural not in names:
        sys.exit(f"{group} has {names}, but no {plural}")


if __name__ == "__main__":
    group, plural, *urls = sys.argv[1:]
    for url in urls:
        ready(url)
        print(f"{url}: ready")
    served(group, plural)
    print("the API server serves DatabaseProxies")
