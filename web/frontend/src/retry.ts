// An error page that passes looks again by itself, without taking away what is on it.
const EVERY = 5000;

async function look(status: number): Promise<void> {
  try {
    const response = await fetch(location.href, { headers: { "X-Requested-With": "hms" } });
    if (response.status !== status) location.reload();
  } catch {
    // Not even the controller answers; the page stays.
  }
}

export function startRetry(): void {
  const status = Number(document.body.dataset["retry"]);
  if (status) setInterval(() => void look(status), EVERY);
}
