// How are elements found and changed? Writes only what differs, so that a page drawn four times a second rests.

export function byId<T extends Element = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element as unknown as T;
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setHidden(element: Element, hidden: boolean): void {
  if (element.hasAttribute("hidden") !== hidden) element.toggleAttribute("hidden", hidden);
}

export function setAttr(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function setIcon(button: Element, icon: string): void {
  const use = button.querySelector("use");
  if (use) setAttr(use, "href", `#i-${icon}`);
}

/** A label for everybody: read aloud, and shown on hover. */
export function setLabel(element: HTMLElement, label: string): void {
  setAttr(element, "aria-label", label);
  setAttr(element, "title", label);
}
