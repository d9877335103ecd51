// All that the page says, in its two languages.

const WORDS = {
  skip: ["Skip to the message box", "跳到输入框"],
  conversations: ["Conversations", "对话"],
  newChat: ["New chat", "新对话"],
  showConversations: ["Show conversations", "显示对话列表"],
  hideConversations: ["Hide conversations", "隐藏对话列表"],
  searchConversations: ["Search conversations", "搜索对话"],
  noConversations: ["No conversations yet.", "还没有对话。"],
  nothingFound: ["Nothing found.", "没有找到。"],
  showMore: ["Show more", "显示更多"],
  untitled: ["New chat", "新对话"],
  optionsFor: ["Options for {title}", "“{title}”的选项"],
  rename: ["Rename", "重命名"],
  renameTitle: ["Rename conversation", "重命名对话"],
  titleField: ["Title", "标题"],
  delete: ["Delete", "删除"],
  deleteTitle: ["Delete conversation?", "删除对话？"],
  deleteText: ["“{title}” and its files will be gone for good.", "“{title}”及其文件将被永久删除。"],
  cancel: ["Cancel", "取消"],
  save: ["Save", "保存"],
  close: ["Close", "关闭"],
  dismiss: ["Dismiss", "知道了"],
  running: ["An answer is being written", "正在回答"],
  unread: ["Unread", "未读"],
  model: ["Model", "模型"],
  persona: ["Persona", "角色"],
  defaultModel: ["{name} (default)", "{name}（默认）"],
  defaultModelPlain: ["Default model", "默认模型"],
  defaultPersona: ["{name} (default)", "{name}（默认）"],
  noPersona: ["No persona", "无角色"],
  clearConversation: ["Clear conversation", "清空对话"],
  clearTitle: ["Clear conversation?", "清空对话？"],
  clearText: ["All messages of this conversation will be gone for good.", "此对话的全部消息将被永久删除。"],
  clear: ["Clear", "清空"],
  messages: ["Messages", "消息"],
  showEarlier: ["Show earlier messages", "显示更早的消息"],
  welcome: ["What would you like to talk about?", "想聊点什么？"],
  welcomeMore: [
    "Write below. You can attach files, and come back at any time: nothing is lost.",
    "请在下方输入。可以添加文件，也可以随时离开再回来：内容不会丢失。",
  ],
  jumpToLatest: ["Jump to the latest", "跳到最新"],
  message: ["Message", "消息"],
  messagePlaceholder: ["Write a message…", "输入消息…"],
  send: ["Send", "发送"],
  stop: ["Stop", "停止"],
  stopping: ["Stopping…", "正在停止…"],
  attachFiles: ["Attach files", "添加文件"],
  attachedFiles: ["Attached files", "已添加的文件"],
  removeFile: ["Remove {name}", "移除 {name}"],
  uploading: ["Uploading {name}", "正在上传 {name}"],
  unreadFile: ["Its text could not be read.", "无法读取其文字内容。"],
  dropHere: ["Drop files here", "将文件拖放到此处"],
  hintKeys: ["Enter sends, Shift+Enter begins a new line.", "按 Enter 发送，按 Shift+Enter 换行。"],
  hintUploading: ["Files are being uploaded.", "文件正在上传。"],
  hintSoon: ["It is sent as soon as its files are uploaded.", "文件上传完成后即会发送。"],
  hintTooLong: [
    "{count} characters: {over} too many.",
    "共 {count} 个字符，超出 {over} 个。",
  ],
  you: ["You", "你"],
  assistant: ["Assistant", "助手"],
  waitingToBeSent: ["Waiting to be sent…", "等待发送…"],
  doNotSend: ["Don't send", "取消发送"],
  queued: ["Waiting for its turn…", "排队中…"],
  writing: ["Writing…", "正在输入…"],
  beginsAgain: ["The answer begins again.", "回答重新开始。"],
  stoppedByYou: ["Stopped.", "已停止。"],
  cutByLength: ["The answer reached its length limit.", "回答已达到长度上限。"],
  filtered: ["The answer was cut by the model's content filter.", "回答被模型的内容过滤器截断。"],
  reasoning: ["Reasoning", "思考过程"],
  copy: ["Copy", "复制"],
  copyCode: ["Copy code", "复制代码"],
  table: ["Table", "表格"],
  copied: ["Copied", "已复制"],
  copyFailed: ["Your browser did not allow copying.", "浏览器不允许复制。"],
  regenerate: ["Regenerate", "重新生成"],
  tryAgain: ["Try again", "重试"],
  usage: ["{prompt} + {completion} tokens", "{prompt} + {completion} 个词元"],
  usageTitle: ["{prompt} tokens read, {completion} written", "读取 {prompt} 个词元，生成 {completion} 个"],
  announceAnswering: ["The answer is being written.", "正在回答。"],
  announceAnswered: ["The answer is complete.", "回答完毕。"],
  announceStopped: ["The answer was stopped.", "回答已停止。"],
  announceFailed: ["The answer failed.", "回答失败。"],
  loading: ["Loading…", "正在加载…"],
  offline: [
    "You are offline. What you send waits here until you are back.",
    "网络已断开。您发送的内容会在恢复连接后发出。",
  ],
  reconnecting: ["Reconnecting…", "正在重新连接…"],
  sessionGone: ["This conversation was deleted.", "此对话已被删除。"],
  notSent: ["Not sent: {reason} Your text is back in the message box.", "未能发送：{reason} 文字已放回输入框。"],
  settings: ["Settings", "设置"],
  appearance: ["Appearance", "外观"],
  language: ["Language", "语言"],
  theme: ["Theme", "主题"],
  themeSystem: ["System", "跟随系统"],
  themeLight: ["Light", "浅色"],
  themeDark: ["Dark", "深色"],
  personaForNew: ["Persona of new conversations", "新对话的角色"],
  models: ["Models", "模型"],
  modelsMore: [
    "Any OpenAI-compatible server. Your key is stored encrypted and never shown again.",
    "任何兼容 OpenAI 的服务器。密钥将加密保存，不会再次显示。",
  ],
  noModels: ["You have no models of your own yet.", "您还没有自己的模型。"],
  addModel: ["Add a model", "添加模型"],
  editModel: ["Edit {name}", "编辑 {name}"],
  name: ["Name", "名称"],
  baseUrl: ["Base URL", "服务地址"],
  apiKey: ["API key", "API 密钥"],
  keyKept: ["Leave it empty to keep the key that ends in {hint}.", "留空则保留以 {hint} 结尾的密钥。"],
  test: ["Test", "测试"],
  testNamed: ["Test {name}", "测试 {name}"],
  deleteNamed: ["Delete {name}", "删除 {name}"],
  deleteModelTitle: ["Delete this model?", "删除此模型？"],
  deleteModelText: ["“{name}” and its key will be gone.", "“{name}”及其密钥将被删除。"],
  testConnection: ["Test connection", "测试连接"],
  edit: ["Edit", "编辑"],
  testing: ["Testing…", "正在测试…"],
  testOk: ["Connected in {ms} ms.", "连接成功，用时 {ms} 毫秒。"],
  testFailed: ["No connection: {detail}", "连接失败：{detail}"],
  saved: ["Saved.", "已保存。"],
  account: ["Account", "账户"],
  signedInAs: ["Signed in as {name}", "已登录：{name}"],
  signIn: ["Sign in", "登录"],
  signOut: ["Sign out", "退出登录"],
  signOutMore: ["Ends your sign-in on all devices.", "将在所有设备上退出登录。"],
  createAccount: ["Create an account", "创建账户"],
  register: ["Register", "注册"],
  haveAccount: ["I have an account", "我已有账户"],
  username: ["Username", "用户名"],
  password: ["Password", "密码"],
  usernameRule: ["3 to 50 characters without spaces", "3 至 50 个字符，不含空格"],
  passwordRule: ["8 to 128 characters", "8 至 128 个字符"],
  signedOutElsewhere: ["You were signed out.", "您已退出登录。"],
};

// What problems of the server mean, by their code; who has none here tells its own detail.
const PROBLEMS = {
  offline: ["The server can't be reached.", "无法连接服务器。"],
  invalid_credentials: ["Username or password is wrong.", "用户名或密码错误。"],
  username_taken: ["This username is taken.", "该用户名已被使用。"],
  not_signed_in: ["Please sign in.", "请先登录。"],
  invalid_token: ["Please sign in again.", "请重新登录。"],
  foreign_origin: ["This is only possible from the server's own page.", "只能在服务器自己的页面上进行此操作。"],
  session_busy: ["An answer is being written; please wait for it or stop it.", "正在回答，请等待完成或先停止。"],
  session_closed: ["This conversation takes no more messages.", "此对话不再接收消息。"],
  session_not_found: ["This conversation was deleted.", "此对话已被删除。"],
  generation_not_found: ["This answer does not exist any more.", "该回答已不存在。"],
  api_not_found: ["This model does not exist any more.", "该模型已不存在。"],
  model_not_found: ["This model does not exist any more.", "该模型已不存在。"],
  persona_not_found: ["This persona does not exist any more.", "该角色已不存在。"],
  nothing_to_regenerate: ["There is nothing to answer again.", "没有可重新生成的回答。"],
  nothing_to_stop: ["There is nothing to stop.", "没有可停止的回答。"],
  file_not_found: ["A file does not exist any more.", "文件已不存在。"],
  file_unreadable: ["A file could not be read.", "无法读取文件。"],
  file_too_large: ["The file is too large.", "文件过大。"],
  payload_too_large: ["This is too large.", "内容过大。"],
  headers_too_large: ["The browser sent too much with its request.", "浏览器的请求头过大。"],
  unsupported_file_type: ["Files of this type can't be read.", "不支持此类型的文件。"],
  too_many_files: ["This conversation has too many files.", "此对话的文件过多。"],
  storage_quota_exceeded: ["Your space for files is used up.", "您的文件空间已用完。"],
  storage_full: ["The server has no space left.", "服务器空间不足。"],
  storage_unavailable: ["The server can't store files at the moment.", "服务器暂时无法保存文件。"],
  name_taken: ["This name is taken.", "该名称已被使用。"],
  api_key_unreadable: ["The key can't be read any more; please enter it again.", "密钥已无法读取，请重新输入。"],
  invalid_request: ["Something about this is not valid.", "输入无效。"],
  internal_error: ["Something went wrong on the server.", "服务器出错。"],
  database_unavailable: ["The server can't reach its database at the moment.", "服务器暂时无法访问数据库。"],
  queue_unavailable: ["The server can't take messages at the moment.", "服务器暂时无法接收消息。"],
  request_timeout: ["This took too long to arrive.", "传输超时。"],
  rate_limited: ["This is too fast; please wait a little.", "操作过于频繁，请稍候。"],
  too_many_streams: ["You have this open in too many places.", "您打开的页面过多。"],
  too_many_answers: ["Too many of your answers are being written; please wait for one.", "正在生成的回答过多，请等待其中一个完成。"],
  token_budget_spent: ["You have used up what you may ask for today.", "您今天的用量已用完。"],
  queue_full: ["The server has too much to answer; please try again in a moment.", "服务器待处理的消息过多，请稍后再试。"],
  overloaded: ["The server is busy; please try again in a moment.", "服务器繁忙，请稍后再试。"],
  restarting: ["The server is restarting.", "服务器正在重启。"],
  upstream_error: ["The model's server reported an error.", "模型服务器报告了错误。"],
  upstream_truncated: ["The model's answer broke off.", "模型的回答中断了。"],
  upstream_unreachable: ["The model's server can't be reached.", "无法连接模型服务器。"],
  upstream_address_refused: ["The model's address is not allowed.", "不允许使用该模型地址。"],
  upstream_key_refused: ["The model's server refused the key.", "模型服务器拒绝了密钥。"],
  upstream_request_refused: ["The model's server refused the request.", "模型服务器拒绝了请求。"],
  upstream_malformed: ["The model's server gave an answer that can't be read.", "模型服务器的回答无法解析。"],
  upstream_overflow: ["The model's answer was too long.", "模型的回答过长。"],
  upstream_timeout: ["The model's server took too long.", "模型服务器响应超时。"],
  upstream_rate_limited: ["The model's server is busy.", "模型服务器繁忙。"],
  upstream_suspended: ["The model's server is out of order at the moment.", "模型服务器暂时不可用。"],
  worker_lost: ["The server lost this answer.", "服务器丢失了该回答。"],
};

const column = () => (document.documentElement.lang.startsWith("zh") ? 1 : 0);

/** The words for `key` in the language of the page; `{name}` stands for `values.name`. */
export function t(key, values = {}) {
  const text = WORDS[key]?.[column()] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** What went wrong, for people: by its code, and in which field where the server says so. */
export function problemText(problem) {
  const known = PROBLEMS[problem.code]?.[column()] ?? problem.detail ?? problem.title ?? String(problem);
  const flaws = (problem.errors ?? []).map((flaw) => flaw.message).filter(Boolean);
  return flaws.length ? `${known} ${flaws.join(" ")}` : known;
}

/** Puts the words of its language into a part of the page. */
export function translate(root) {
  const each = (attribute, put) => {
    for (const element of root.querySelectorAll(`[${attribute}]`)) put(element, t(element.getAttribute(attribute)));
  };
  each("data-t", (element, text) => {
    element.textContent = text;
  });
  each("data-t-label", (element, text) => element.setAttribute("aria-label", text));
  each("data-t-title", (element, text) => {
    element.title = text;
  });
  each("data-t-placeholder", (element, text) => {
    element.placeholder = text;
  });
}

export const language = () => (column() ? "zh-CN" : "en");

/** Those whose words hold values listen for `languagechange` of the document. */
export function setLanguage(tag) {
  document.documentElement.lang = tag;
  translate(document);
  document.dispatchEvent(new Event("languagechange"));
}
