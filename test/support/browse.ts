/** Sends a GET or a form like a browser with one cookie. Does not follow redirects. */
export async function browse(
  url: string,
  cookie: string,
  form?: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string; cookie: string }> {
  const response = await fetch(url, {
    redirect: "manual",
    headers: { cookie, ...headers },
    ...(form && { method: "POST", body: new URLSearchParams(form) }),
  });
  const [set] = response.headers.getSetCookie();
  return { status: response.status, text: await response.text(), cookie: set?.split(";")[0] ?? cookie };
}
