/*
 * What the pages of the sample site do, and how they tell it: identify, group, page, track, reset. `analytics` is there
 * already, from Segment's snippet or from the bundled SDK; nothing here knows which.
 */
(function () {
  "use strict";

  const USERS = {
    "ana@orquesta.example": { name: "Ana Díaz", email: "ana@orquesta.example", instrument: "Bandoneon" },
    "bruno@orquesta.example": { name: "Bruno Costa", email: "bruno@orquesta.example", instrument: "Violin" },
  };
  const ACCOUNTS = {
    "orquesta-sur": { name: "Orquesta Sur", plan: "Paying", players: 34 },
    "cuarteto-norte": { name: "Cuarteto Norte", plan: "Free", players: 4 },
  };
  const SECTIONS = ["Calendar", "Library", "Members", "Billing"];
  const MEMORY = "atril.session";

  const page = document.body.dataset;
  const session = JSON.parse(localStorage.getItem(MEMORY) || "{}");
  const said = [];

  // -- Telling

  /** One call of the SDK, which is also shown at the foot of the page. */
  function tell(method, ...words) {
    said.push(analytics[method](...words));
    const line = `analytics.${method}(${words.map((word) => JSON.stringify(word)).join(", ")})`;
    const lines = [...toldBefore(), line].slice(-50);
    sessionStorage.setItem("atril.told", JSON.stringify(lines));
    showTold(lines);
  }

  /** The page's section is its category, and Totango's module for what follows. */
  function tellPage() {
    tell("page", page.section, page.page);
  }

  /** To another page, once the SDK has what was said; what it could not send by then it sends from there. */
  function leave(to) {
    const wait = new Promise((done) => setTimeout(done, 1000));
    const sent = new Promise((done) => analytics.ready(done)).then(() => Promise.allSettled(said));
    Promise.race([sent, wait]).then(() => location.assign(to));
  }

  // -- Who

  function signIn(user, account) {
    tell("identify", user, USERS[user]);
    tell("group", account, traits(account));
    tell("track", "Signed In");
    remember({ ...session, user, account });
    leave("calendar");
  }

  function switchTo(account) {
    tell("group", account, traits(account));
    tell("track", "Orchestra Switched");
    remember({ ...session, account });
    showWho();
    showPlan();
  }

  function signOut() {
    tell("track", "Signed Out");
    tell("reset");
    remember({ plans: session.plans }); // they are the orchestras', whoever is there
    leave("./");
  }

  /** Of an account, with the plan that somebody has chosen here. */
  function traits(account) {
    return { ...ACCOUNTS[account], ...(session.plans?.[account] && { plan: session.plans[account] }) };
  }

  function remember(now) {
    for (const name of Object.keys(session)) delete session[name];
    Object.assign(session, now);
    localStorage.setItem(MEMORY, JSON.stringify(session));
  }

  // -- Doing

  /** Properties of an activity: data-* of its button, or the fields of its form. */
  function properties(element) {
    const found = element instanceof HTMLFormElement ? Object.fromEntries(new FormData(element)) : { ...element.dataset };
    delete found.track;
    for (const [name, value] of Object.entries(found)) if (/^\d+$/.test(value)) found[name] = Number(value);
    return found;
  }

  function changePlan(form) {
    const { account } = session;
    if (!account) {
      report(form, "Sign in first: a plan is an orchestra's.");
      return;
    }
    const plan = form.elements.plan.value;
    remember({ ...session, plans: { ...session.plans, [account]: plan } });
    tell("group", account, traits(account));
    tell("track", "Plan Changed", { plan });
    report(form, `${ACCOUNTS[account].name}: ${plan} from now on.`);
  }

  /** What an activity does here. Each gives what is to be reported of it. */
  const AFTERWARDS = {
    "Rehearsal Cancelled": (button) => {
      button.closest("li").classList.add("gone");
      button.disabled = true;
      return "The rehearsal is off.";
    },
    "Rehearsal Planned": (form) => {
      const { day, room } = properties(form);
      const line = document.createElement("li");
      line.textContent = `${day}, ${room}`;
      document.querySelector("#rehearsals").append(line);
      return `It is in the calendar: ${day}, ${room}.`;
    },
    "Score Opened": (button) => `${button.dataset.title} is on the stand.`,
    "Parts Printed": (button) => `${button.dataset.parts} parts are being printed.`,
    "Member Invited": (form) => `An invitation is on its way. Plays: ${properties(form).instrument}.`,
  };

  function act(element) {
    const name = element.dataset.track;
    tell("track", name, properties(element));
    report(element, AFTERWARDS[name](element));
  }

  /** In the line for it on the card where it was done. */
  function report(element, text) {
    element.closest(".card").querySelector(".status").textContent = text;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-track]");
    if (button) act(button);
  });
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    if (form.dataset.track) act(form);
    else if (form.id === "sign-in") signIn(form.elements.user.value, form.elements.account.value);
    else if (form.id === "plan-change") changePlan(form);
  });

  // -- Showing

  function element(name, attributes = {}, ...children) {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children);
    return made;
  }

  function options(of) {
    return Object.entries(of).map(([id, traits]) => new Option(traits.name, id));
  }

  function showHeader() {
    const nav = element("nav", { ariaLabel: "Sections" });
    for (const section of SECTIONS) {
      const link = element("a", { href: section.toLowerCase() }, section);
      if (section === page.section) link.setAttribute("aria-current", "page");
      nav.append(link);
    }
    const brand = element("a", { className: "brand", href: "./" }, element("img", { src: "/icon.svg", alt: "" }), "Atril");
    document.querySelector("header").append(brand, nav, element("div", { className: "who" }));
  }

  function showWho() {
    const who = document.querySelector(".who");
    who.replaceChildren();
    if (session.user) {
      const choice = element("select", { id: "account", ariaLabel: "Orchestra" }, ...options(ACCOUNTS));
      choice.value = session.account;
      choice.addEventListener("change", () => switchTo(choice.value));
      const out = element("button", { className: "quiet", id: "sign-out", type: "button" }, "Sign out");
      out.addEventListener("click", signOut);
      who.append(element("span", { className: "name" }, USERS[session.user].name), choice, out);
    } else if (!document.querySelector("#sign-in")) {
      who.append(element("a", { href: "./" }, "Sign in"));
    }
    const form = document.querySelector("#sign-in");
    if (form) {
      form.hidden = Boolean(session.user);
      document.querySelector("#signed-in").hidden = !session.user;
    }
  }

  function showPage() {
    const form = document.querySelector("#sign-in");
    if (form) {
      form.elements.user.append(...options(USERS));
      form.elements.account.append(...options(ACCOUNTS));
    }
    const people = document.querySelector("#people");
    if (people) for (const { name, instrument } of Object.values(USERS)) people.append(element("li", {}, `${name}, ${instrument}`));
    for (const card of document.querySelectorAll(".card:has(button)")) card.append(element("p", { className: "status", role: "status" }));
    showPlan();
  }

  function showPlan() {
    const form = document.querySelector("#plan-change");
    if (!form) return;
    form.elements.plan.value = session.account ? traits(session.account).plan : "Free";
    report(form, "");
  }

  function toldBefore() {
    return JSON.parse(sessionStorage.getItem("atril.told") || "[]");
  }

  function showTold(lines) {
    const list = document.querySelector(".told ol");
    list.replaceChildren(...lines.map((line) => element("li", {}, line)));
    list.scrollTop = list.scrollHeight;
  }

  function showFoot() {
    const bundled = location.pathname.startsWith("/npm/");
    const other = bundled ? location.pathname.slice("/npm".length) : `/npm${location.pathname}`;
    const hint = element("p", {}, bundled ? "The SDK comes from a bundle of this site. " : "The SDK comes with Segment's snippet. ");
    hint.append(element("a", { href: other }, bundled ? "The same pages with the snippet" : "The same pages with the npm bundle"), ". ");
    const { content } = document.querySelector("meta[name=totango]");
    hint.append(element("a", { href: content, target: "_blank" }, "What Totango would hold"), ".");
    const box = element("div", {}, element("h2", {}, "What these pages told the SDK"), element("ol"), hint);
    document.body.append(element("aside", { className: "told" }, box));
    showTold(toldBefore());
  }

  showHeader();
  showPage();
  showWho();
  showFoot();
  tellPage();
})();
