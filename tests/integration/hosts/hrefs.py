"""Check of hrefs below a mount."""

from __future__ import annotations

import httpx2


async def check_hrefs(client: httpx2.AsyncClient, base: str) -> None:
    """Whatever is made has its href below ``base``, and is found there."""
    made = await client.post(f"{base}/conversations", json={"name": "tea kitchen"})
    assert made.status_code == 200, made.text
    href = made.json()["href"]
    assert href == f"{base}/conversations/{made.json()['id']}"
    found = await client.get(href)
    assert found.status_code == 200, found.text
    assert found.json()["_links"]["self"]["href"] == href
    await client.post(f"{base}/conversations")
    page = (await client.get(f"{base}/conversations?page_size=1&order=desc")).json()
    following = (await client.get(page["_links"]["next"]["href"])).json()
    assert [conversation["href"] for conversation in following["_embedded"]["conversations"]] == [href]
