const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Markup that is safe to send: only `html` makes it, and `html` escapes every plain value. */
export class Html {
  constructor(readonly markup: string) {}
}

type Value = string | number | Html | readonly Html[];

export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(String.raw({ raw: strings }, ...values.map(render)));
}

export function htmlResponse(page: Html): Response {
  return new Response(page.markup, { headers: { 'Content-Type': 'text/html; charset=utf-8' } });
}

function render(value: Value): string {
  if (value instanceof Html) {
    return value.markup;
  }
  if (typeof value === 'object') {
    return value.map(({ markup }) => markup).join('\n');
  }
  return escapeHtml(String(value));
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
